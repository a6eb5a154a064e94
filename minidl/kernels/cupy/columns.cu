// columns[n, c, i, j, p, q] = x[n, c, p*stride_h + i*dilation_h - top, q*stride_w + j*dilation_w - left],
// 0 beyond x. Thread (c*N + n, p*Q + q) writes the I*J entries of its window, each into a matrix of its own.
extern "C" __global__ void im2col(const REAL* x, Strides s, REAL* columns, Geometry g) {
    EACH(plane, y, g.N * g.C) {
        unsigned c = plane / g.N, n = plane % g.N;
        const REAL* source = x + n * s.n + c * s.c;
        long long area = (long long)g.P * g.Q, matrix = g.N * area;
        EACH(pixel, x, g.P * g.Q) {
            int p = pixel / g.Q, q = pixel % g.Q;
            REAL* entry = columns + c * matrix * g.I * g.J + n * area + pixel;
            for (int i = 0; i < g.I; ++i) {
                int h = p * g.stride_h + i * g.dilation_h - g.top;
                for (int j = 0; j < g.J; ++j) {
                    int w = q * g.stride_w + j * g.dilation_w - g.left;
                    *entry = within(h, g.H) && within(w, g.W) ? source[h * s.h + w * s.w] : 0;
                    entry += matrix;
                }
            }
        }
    }
}

struct ColumnStrides {
    long long n, c, i, j, p, q;
};

// The adjoint. Thread (c*N + n, h*W + w) adds up the entries that im2col would have filled from its pixel: it
// gathers, so nothing is written twice, and runs repeat bit for bit.
extern "C" __global__ void col2im(const REAL* columns, ColumnStrides s, REAL* x, Geometry g) {
    EACH(plane, y, g.N * g.C) {
        const REAL* source = columns + plane % g.N * s.n + plane / g.N * s.c;
        EACH(pixel, x, g.H * g.W) {
            int h = pixel / g.W, w = pixel % g.W;
            REAL sum = 0;
            for (int i = 0; i < g.I; ++i) {
                int p = window_at(h + g.top - i * g.dilation_h, g.stride_h, g.P);
                if (p < 0) continue;
                for (int j = 0; j < g.J; ++j) {
                    int q = window_at(w + g.left - j * g.dilation_w, g.stride_w, g.Q);
                    if (q >= 0) sum += source[i * s.i + j * s.j + p * s.p + q * s.q];
                }
            }
            x[(long long)plane * g.H * g.W + pixel] = sum;
        }
    }
}
