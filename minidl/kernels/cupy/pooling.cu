// y[n, c, p, q] = the largest x[n, c, h, w] in window p, q; winners[...] = h*W + w of the first in row-major
// order. A NaN beats every number, the last NaN wins. A window that sees padding only: lowest, -1.
extern "C" __global__ void max_pool2d(
    const REAL* x, Strides s, REAL* y, int* winners, Geometry g, REAL lowest
) {
    EACH(plane, y, g.N * g.C) {
        const REAL* source = x + plane % g.N * s.n + plane / g.N * s.c;
        EACH(pixel, x, g.P * g.Q) {
            int p = pixel / g.Q, q = pixel % g.Q, winner = -1;
            REAL largest = lowest;
            for (int i = 0; i < g.I; ++i) {
                int h = p * g.stride_h + i * g.dilation_h - g.top;
                if (!within(h, g.H)) continue;
                for (int j = 0; j < g.J; ++j) {
                    int w = q * g.stride_w + j * g.dilation_w - g.left;
                    if (!within(w, g.W)) continue;
                    REAL value = source[h * s.h + w * s.w];
                    if (value > largest || winner < 0 || value != value) {
                        largest = value;
                        winner = h * g.W + w;
                    }
                }
            }
            long long place = (long long)plane * g.P * g.Q + pixel;
            y[place] = largest;
            winners[place] = winner;
        }
    }
}

// dx[n, c, h, w] = the sum of dy[n, c, p, q] over the windows that h, w has won. Each thread looks through the
// windows that cover its pixel: no atomics, so runs repeat bit for bit.
extern "C" __global__ void max_pool2d_pull(
    const REAL* dy, Strides s, const int* winners, REAL* dx, Geometry g
) {
    EACH(plane, y, g.N * g.C) {
        const REAL* gradient = dy + plane % g.N * s.n + plane / g.N * s.c;
        const int* winner = winners + (long long)plane * g.P * g.Q;
        EACH(pixel, x, g.H * g.W) {
            int h = pixel / g.W, w = pixel % g.W;
            REAL sum = 0;
            for (int i = 0; i < g.I; ++i) {
                int p = window_at(h + g.top - i * g.dilation_h, g.stride_h, g.P);
                if (p < 0) continue;
                for (int j = 0; j < g.J; ++j) {
                    int q = window_at(w + g.left - j * g.dilation_w, g.stride_w, g.Q);
                    if (q >= 0 && winner[p * g.Q + q] == (int)pixel) sum += gradient[p * s.h + q * s.w];
                }
            }
            dx[(long long)plane * g.H * g.W + pixel] = sum;
        }
    }
}

// y[n, c, p, q] = the sum of x[n, c, h, w] over window p, q. Its adjoint is col2im with strides of 0 along i, j.
extern "C" __global__ void sum_pool2d(const REAL* x, Strides s, REAL* y, Geometry g) {
    EACH(plane, y, g.N * g.C) {
        const REAL* source = x + plane % g.N * s.n + plane / g.N * s.c;
        EACH(pixel, x, g.P * g.Q) {
            int p = pixel / g.Q, q = pixel % g.Q;
            REAL sum = 0;
            for (int i = 0; i < g.I; ++i) {
                int h = p * g.stride_h + i * g.dilation_h - g.top;
                if (!within(h, g.H)) continue;
                for (int j = 0; j < g.J; ++j) {
                    int w = q * g.stride_w + j * g.dilation_w - g.left;
                    if (within(w, g.W)) sum += source[h * s.h + w * s.w];
                }
            }
            y[(long long)plane * g.P * g.Q + pixel] = sum;
        }
    }
}
