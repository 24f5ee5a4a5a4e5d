/* steps.c: denoise steps as graphs. The first step after opening or a failure runs call by call: it finds out what memory a
 * step takes. Later ones are recorded and launched as one graph. The graph of the last step is kept and told the new
 * arguments (time, coefficients, plans, texts); only a step of another shape makes a new one. */
#include "cuda.h"

#include <stdlib.h>

/* For measurements of what graphs are worth, and for tools that cannot look into them. */
static bool graphs_wanted(void) {
    const char *wish = getenv("COUPLET_CUDA_GRAPHS");
    return !wish || *wish != '0';
}

/* On to the other stage, which the last step but one has read: by now mostly done. What reads the one that is left, in that step,
 * before or behind it, has all been put into the stream. */
static bool turn_stage(gpu_stream *s) {
    gpu_stage *left = &s->stage[s->stage_now];
    if (left->used > 0) {
        if (!gpu_did(&s->base, "a step", cudaEventRecord(left->done, s->queue))) return false;
        left->in_use = true;
    }
    s->stage_now ^= 1;
    gpu_stage *stage = &s->stage[s->stage_now];
    if (stage->in_use && !gpu_did(&s->base, "waiting for a step", cudaEventSynchronize(stage->done))) return false;
    stage->in_use = false;
    stage->used = 0;
    return true;
}

void gpu_step_begin(cpl_stream *stream) {
    gpu_stream *s = (gpu_stream *)stream;
    if (!gpu_enter(stream)) return;
    if (s->recording) gpu_flush(s); /* a step that was never ended */
    gpu_free_condemned(s);
    if (!turn_stage(s)) return;
    s->in_step = true;
    if (s->steps_done == 0 || !graphs_wanted()) {
        gpu_did(stream, "a step", cudaEventRecord(s->began, s->queue));
        return;
    }
    gpu_products_open(s);
    s->recording = gpu_did(stream, "recording a step", cudaStreamBeginCapture(s->queue, cudaStreamCaptureModeRelaxed));
}

static bool renew_graph(gpu_stream *s, cudaGraph_t graph) {
    cudaGraphExecUpdateResultInfo result;
    if (s->graph) {
        if (cudaGraphExecUpdate(s->graph, graph, &result) == cudaSuccess) return true;
        cudaGetLastError();
        cudaGraphExecDestroy(s->graph);
        s->graph = NULL;
    }
    s->graph_builds++;
    return gpu_did(&s->base, "a step's graph", cudaGraphInstantiate(&s->graph, graph, 0));
}

/* Ends the recording; what has been recorded runs, or after a failure is forgotten. */
void gpu_flush(gpu_stream *s) {
    cudaGraph_t graph = NULL;
    if (!s->recording) return;
    s->recording = s->part_recorded = false;
    cudaError_t ended = cudaStreamEndCapture(s->queue, &graph);
    if (!s->base.failed && gpu_did(&s->base, "recording a step", ended) && renew_graph(s, graph) &&
        gpu_did(&s->base, "a step", cudaEventRecord(s->began, s->queue)) &&
        gpu_did(&s->base, "launching a step", cudaGraphLaunch(s->graph, s->queue)))
        s->graph_launches++;
    cudaGetLastError();
    if (graph) cudaGraphDestroy(graph);
}

void gpu_step_end(cpl_stream *stream) {
    gpu_stream *s = (gpu_stream *)stream;
    if (!s->in_step) return;
    s->in_step = false;
    cudaSetDevice(gpu_backend_of(stream)->device);
    gpu_flush(s);
    if (stream->failed) {
        s->steps_done = 0;
        return;
    }
    gpu_did(stream, "a step", cudaEventRecord(s->ended, s->queue));
    s->steps_done++;
}

double gpu_step_ms(const gpu_stream *s) {
    float ms = 0;
    if (s->steps_done > 0 && cudaEventElapsedTime(&ms, s->began, s->ended) == cudaSuccess) return (double)ms;
    cudaGetLastError(); /* "not ready" is no failure */
    return 0;
}
