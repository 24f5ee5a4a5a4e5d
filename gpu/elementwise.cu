/* elementwise.cu: what reads and writes each value once. Eight values a thread where rows and pointers allow it. */
#include "typed.cuh"

enum { THREADS = 256 };

static __device__ __forceinline__ size_t thread_number(void) { return (size_t)blockIdx.x * THREADS + threadIdx.x; }

#define LAUNCH(kernel, threads, ...)                                                                                   \
    launch_kernel(#kernel, kernel, dim3(blocks_of(threads, THREADS)), dim3(THREADS), 0, s, __VA_ARGS__)

template <int W>
__global__ void __launch_bounds__(THREADS)
    scale_add(size_t count, gpu_array y, float alpha, gpu_array a, float beta, gpu_array b) {
    size_t at = thread_number() * W;
    if (at >= count) return;
    float x[W], z[W];
    load<W>(a, at, x);
    if (b.data) load<W>(b, at, z);
    for (int i = 0; i < W; i++) x[i] = b.data ? fmaf(alpha, x[i], beta * z[i]) : alpha * x[i];
    store<W>(y, at, x);
}

template <int W> __global__ void __launch_bounds__(THREADS) activate(size_t count, gpu_array y, gpu_array x, int act) {
    size_t at = thread_number() * W;
    if (at >= count) return;
    float v[W];
    load<W>(x, at, v);
    for (int i = 0; i < W; i++) v[i] = activation(v[i], act);
    store<W>(y, at, v);
}

template <int W> __global__ void __launch_bounds__(THREADS) geglu(size_t count, int c, gpu_array y, gpu_array x) {
    size_t at = thread_number() * W;
    if (at >= count) return;
    size_t row = at / (size_t)c, column = at % (size_t)c, from = row * 2 * (size_t)c + column;
    float value[W], gate[W];
    load<W>(x, from, value);
    load<W>(x, from + (size_t)c, gate);
    for (int i = 0; i < W; i++) value[i] *= activation(gate[i], GPU_ACT_GELU);
    store<W>(y, at, value);
}

template <int W>
__global__ void __launch_bounds__(THREADS)
    upsample(size_t count, int c, gpu_array y, int yh, int yw, gpu_array x, int xh, int xw) {
    size_t at = thread_number() * W;
    if (at >= count) return;
    size_t pixel = at / (size_t)c, channel = at % (size_t)c;
    size_t j = pixel % (size_t)yw, i = pixel / (size_t)yw % (size_t)yh, n = pixel / (size_t)yw / (size_t)yh;
    size_t from = (n * (size_t)xh + i * (size_t)xh / (size_t)yh) * (size_t)xw + j * (size_t)xw / (size_t)yw;
    float v[W];
    load<W>(x, from * (size_t)c + channel, v);
    store<W>(y, at, v);
}

template <int W>
__global__ void __launch_bounds__(THREADS) concat(size_t count, gpu_array y, gpu_array a, int ca, gpu_array b, int cb) {
    size_t at = thread_number() * W;
    if (at >= count) return;
    size_t c = (size_t)(ca + cb), row = at / c, channel = at % c;
    float v[W];
    if (channel < (size_t)ca)
        load<W>(a, row * (size_t)ca + channel, v);
    else
        load<W>(b, row * (size_t)cb + channel - (size_t)ca, v);
    store<W>(y, at, v);
}

template <int W>
__global__ void __launch_bounds__(THREADS)
    embed(size_t count, int tokens, int c, gpu_array y, gpu_array table, const int *ids, gpu_array positions) {
    size_t at = thread_number() * W;
    if (at >= count) return;
    size_t row = at / (size_t)c, channel = at % (size_t)c;
    float v[W], p[W];
    load<W>(table, (size_t)ids[row] * (size_t)c + channel, v);
    if (positions.data) load<W>(positions, row % (size_t)tokens * (size_t)c + channel, p);
    for (int i = 0; i < W; i++) v[i] += positions.data ? p[i] : 0.0f;
    store<W>(y, at, v);
}

/* The frequency in double: at t near 1000 an error of f32 in it would show in the sixth digit of the angle. */
__global__ void __launch_bounds__(THREADS) timestep_embedding(int n, int c, gpu_array y, gpu_times times) {
    size_t at = thread_number();
    if (at >= (size_t)n * (size_t)c) return;
    int row = (int)(at / (size_t)c), channel = (int)(at % (size_t)c), half = c / 2;
    int i = channel < half ? channel : channel - half;
    float frequency = (float)exp(-9.2103403719761836 * i / half), angle = times.t[row] * frequency;
    float v = 2 * half > channel ? (channel < half ? cosf(angle) : sinf(angle)) : 0.0f;
    store<1>(y, at, &v);
}

__global__ void __launch_bounds__(THREADS)
    pack_weight(size_t count, int in, int taps, size_t pitch, gpu_array y, gpu_array w) {
    size_t at = thread_number();
    if (at >= count) return;
    size_t out = at / pitch, k = at % pitch, tap = k / (size_t)in, channel = k % (size_t)in;
    float v = 0;
    if (tap < (size_t)taps) load<1>(w, (out * (size_t)in + channel) * (size_t)taps + tap, &v);
    store<1>(y, at, &v);
}

cudaError_t gpu_scale_add(cudaStream_t s, size_t count, gpu_array y, float alpha, gpu_array a, float beta,
                          gpu_array b) {
    if (count % 8 == 0 && fits_vectors(y.data) && fits_vectors(a.data) && fits_vectors(b.data))
        return LAUNCH(scale_add<8>, count / 8, count, y, alpha, a, beta, b);
    return LAUNCH(scale_add<1>, count, count, y, alpha, a, beta, b);
}

cudaError_t gpu_activate(cudaStream_t s, size_t count, gpu_array y, gpu_array x, int act) {
    if (count % 8 == 0 && fits_vectors(y.data) && fits_vectors(x.data))
        return LAUNCH(activate<8>, count / 8, count, y, x, act);
    return LAUNCH(activate<1>, count, count, y, x, act);
}

cudaError_t gpu_geglu(cudaStream_t s, size_t rows, int c, gpu_array y, gpu_array x) {
    size_t count = rows * (size_t)c;
    if (c % 8 == 0 && fits_vectors(y.data) && fits_vectors(x.data)) return LAUNCH(geglu<8>, count / 8, count, c, y, x);
    return LAUNCH(geglu<1>, count, count, c, y, x);
}

cudaError_t gpu_upsample(cudaStream_t s, int n, int c, gpu_array y, int yh, int yw, gpu_array x, int xh, int xw) {
    size_t count = (size_t)n * (size_t)yh * (size_t)yw * (size_t)c;
    if (c % 8 == 0 && fits_vectors(y.data) && fits_vectors(x.data))
        return LAUNCH(upsample<8>, count / 8, count, c, y, yh, yw, x, xh, xw);
    return LAUNCH(upsample<1>, count, count, c, y, yh, yw, x, xh, xw);
}

cudaError_t gpu_concat(cudaStream_t s, size_t rows, gpu_array y, gpu_array a, int ca, gpu_array b, int cb) {
    size_t count = rows * (size_t)(ca + cb);
    if (ca % 8 == 0 && cb % 8 == 0 && fits_vectors(y.data) && fits_vectors(a.data) && fits_vectors(b.data))
        return LAUNCH(concat<8>, count / 8, count, y, a, ca, b, cb);
    return LAUNCH(concat<1>, count, count, y, a, ca, b, cb);
}

cudaError_t gpu_embed(cudaStream_t s, int rows, int tokens, int c, gpu_array y, gpu_array table, const int *ids,
                      gpu_array positions) {
    size_t count = (size_t)rows * (size_t)c;
    if (c % 8 == 0 && fits_vectors(y.data) && fits_vectors(table.data) && fits_vectors(positions.data))
        return LAUNCH(embed<8>, count / 8, count, tokens, c, y, table, ids, positions);
    return LAUNCH(embed<1>, count, count, tokens, c, y, table, ids, positions);
}

cudaError_t gpu_timestep_embedding(cudaStream_t s, int n, int c, gpu_array y, const gpu_times *times) {
    return LAUNCH(timestep_embedding, (size_t)n * (size_t)c, n, c, y, *times);
}

cudaError_t gpu_pack_weight(cudaStream_t s, int out, int in, int taps, size_t pitch, gpu_array y, gpu_array w) {
    size_t count = (size_t)out * pitch;
    return LAUNCH(pack_weight, count, count, in, taps, pitch, y, w);
}
