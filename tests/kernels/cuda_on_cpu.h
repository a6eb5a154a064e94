// Lets g++ compile the CUDA sources as they are, and a test launch their kernels as the CUDA driver would: with a
// grid, a block and an array of pointers to the arguments. The threads run one after another: this is for
// kernels whose threads do not talk to each other.
#pragma once
#include <utility>

#define __global__
#define __device__
#define __forceinline__ inline

struct Index {
    unsigned x, y, z;
};
static Index gridDim, blockDim, blockIdx, threadIdx;

template <class F>
void for_each(Index& index, const Index& end, F body) {
    for (index.z = 0; index.z < end.z; ++index.z)
        for (index.y = 0; index.y < end.y; ++index.y)
            for (index.x = 0; index.x < end.x; ++index.x) body();
}

template <class... Parameter>
void launch(void (*kernel)(Parameter...), void** arguments) {
    auto thread = [&]<std::size_t... k>(std::index_sequence<k...>) {
        kernel(*static_cast<Parameter*>(arguments[k])...);
    };
    for_each(blockIdx, gridDim, [&] {
        for_each(threadIdx, blockDim, [&] { thread(std::index_sequence_for<Parameter...>()); });
    });
}

// The bytes of each parameter; 0 for a pointer that the kernel writes through.
template <class T>
int kind(T*) { return sizeof(T); }
template <class T>
int kind(const T**) { return sizeof(const T*); }
template <class T>
int kind(T**) { return 0; }

template <class... Parameter>
int describe(void (*)(Parameter...), int* kinds) {
    ((*kinds++ = kind(static_cast<Parameter*>(nullptr))), ...);
    return sizeof...(Parameter);
}

#define LAUNCHABLE(kernel)                                                                     \
    extern "C" int describe_##kernel(int* kinds) { return describe(kernel, kinds); }           \
    extern "C" void launch_##kernel(const Index* grid, const Index* block, void** arguments) { \
        gridDim = *grid, blockDim = *block;                                                    \
        launch(kernel, arguments);                                                             \
    }
