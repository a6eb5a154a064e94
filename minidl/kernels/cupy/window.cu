// What the kernels on sliding windows share; launch.py puts this text in front of each of their files.
//
// One thread makes one pixel of one plane, a plane being one channel of one image. Results are channel-major:
// plane number c*N + n begins at that number times the pixels of a plane. REAL is float or double.

struct Geometry {
    int N, C, H, W;     // the input of the windows
    int P, Q, I, J;     // windows down and across, entries of a window down and across
    int stride_h, stride_w, top, left, dilation_h, dilation_w;
};

// Elements between neighbours along each axis.
struct Strides {
    long long n, c, h, w;
};

// Planes lie along y and pixels along x of the grid, which may be smaller than the work. Neighbours in x are
// neighbours in memory, so a warp reads and writes whole lines.
#define EACH(index, axis, count)                                                                     \
    for (unsigned index = blockIdx.axis * blockDim.axis + threadIdx.axis; index < (unsigned)(count); \
         index += gridDim.axis * blockDim.axis)

__device__ __forceinline__ bool within(int place, int size) {
    return (unsigned)place < (unsigned)size;
}

// The window among `count` that begins at `place`, in padded coordinates; negative if none does.
__device__ __forceinline__ int window_at(int place, int stride, int count) {
    int window = stride == 1 ? place : place / stride;
    return window < count && window * stride == place ? window : -1;
}
