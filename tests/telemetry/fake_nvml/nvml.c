/* A stand-in for libnvidia-ml.so.1, so that the real pynvml runs against it.
 *
 * $FAKE_NVML, read at each call, says what it plays, as words separated by commas:
 *   mismatch       nvmlInit fails as after a driver upgrade       unloaded   ... as without the kernel module
 *   mismatch_late  every call about a GPU fails so
 *   lost1          GPU 1 fell off the bus                         handle1    ... and gives no handle
 *   bare           a GPU that answers nothing but its name and memory
 *   unknown        every question fails with UNKNOWN              none       no GPU
 *   throttle       power cap and thermal slowdown                 idle       the idle bit
 *   mig            GPU 0 is split: instances in slots 0 and 2     slow       utilisation takes 2 s
 *   old            functions of newer drivers are not there
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct device { int index, mig; } device;
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { unsigned pid; unsigned long long used; unsigned instance, compute; } process;

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT = 7,
       NOT_LOADED = 9, NO_FUNCTION = 13, LOST = 15, MISMATCH = 18, UNKNOWN = 999 };

static device devices[2] = {{0, -1}, {1, -1}}, instances[3] = {{0, 0}, {0, 1}, {0, 2}};
static int up = 0;

static int plays(const char *word) {
    const char *script = getenv("FAKE_NVML");
    size_t length = strlen(word);
    for (const char *at = script; at && (at = strstr(at, word)); at += length)
        if ((at == script || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return 1;
    return 0;
}

static int state(device *gpu) {
    if (!up) return UNINITIALIZED;
    if (plays("mismatch_late")) return MISMATCH;
    if (gpu->index == 1 && plays("lost1")) return LOST;
    if (plays("unknown")) return UNKNOWN;
    return OK;
}
#define ASK(gpu) do { int s = state(gpu); if (s) return s; if (plays("bare")) return NOT_SUPPORTED; } while (0)

int nvmlInitWithFlags(unsigned flags) {
    if (plays("mismatch")) return MISMATCH;
    if (plays("unloaded")) return NOT_LOADED;
    up++;
    return OK;
}
int nvmlShutdown(void) { if (!up) return UNINITIALIZED; up--; return OK; }
const char *nvmlErrorString(int code) {
    switch (code) {
        case LOST: return "GPU is lost";
        case MISMATCH: return "Driver/library version mismatch";
        case NOT_SUPPORTED: return "Not Supported";
        default: return "Unknown Error";
    }
}
int nvmlDeviceGetCount_v2(unsigned *count) { if (!up) return UNINITIALIZED; *count = plays("none") ? 0 : 2; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device **gpu) {
    if (!up) return UNINITIALIZED;
    if (index > 1) return INVALID;
    if (index == 1 && plays("handle1")) return LOST;
    *gpu = &devices[index];
    return OK;
}
int nvmlSystemGetDriverVersion(char *text, unsigned size) { snprintf(text, size, "570.86.15"); return OK; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12080; return OK; }
int nvmlDeviceGetName(device *gpu, char *text, unsigned size) {
    int s = state(gpu);
    if (s) return s;
    if (gpu->mig >= 0) snprintf(text, size, "NVIDIA Fake 4000 MIG %dg.10gb", gpu->mig + 1);
    else snprintf(text, size, "NVIDIA Fake 4000");
    return OK;
}
int nvmlDeviceGetUUID(device *gpu, char *text, unsigned size) {
    ASK(gpu);
    snprintf(text, size, "GPU-0000-%d", gpu->index);
    return OK;
}
int nvmlDeviceGetMemoryInfo(device *gpu, memory *info) {
    int s = state(gpu);
    if (s) return s;
    info->total = gpu->mig >= 0 ? 10ull << 30 : 40ull << 30;
    info->used = info->total / 4;
    info->free = info->total - info->used;
    return OK;
}
int nvmlDeviceGetUtilizationRates(device *gpu, utilization *rates) {
    if (plays("slow")) sleep(2);
    ASK(gpu);
    rates->gpu = 37 + gpu->index; rates->memory = 12;
    return OK;
}
int nvmlDeviceGetTemperature(device *gpu, int sensor, unsigned *celsius) { ASK(gpu); *celsius = 61; return OK; }
int nvmlDeviceGetPowerUsage(device *gpu, unsigned *milliwatts) { ASK(gpu); *milliwatts = 71500; return OK; }
int nvmlDeviceGetEnforcedPowerLimit(device *gpu, unsigned *milliwatts) { ASK(gpu); *milliwatts = 140000; return OK; }
int nvmlDeviceGetClockInfo(device *gpu, int kind, unsigned *mhz) { ASK(gpu); *mhz = kind == 1 ? 1410 : 6251; return OK; }
int nvmlDeviceGetMaxClockInfo(device *gpu, int kind, unsigned *mhz) { ASK(gpu); *mhz = 1800; return OK; }
int nvmlDeviceGetPerformanceState(device *gpu, unsigned *pstate) { ASK(gpu); *pstate = 2; return OK; }
static int reasons(device *gpu, unsigned long long *bits) {
    ASK(gpu);
    *bits = (plays("throttle") ? 0x4 | 0x20 : 0) | (plays("idle") ? 0x1 : 0);
    return OK;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(device *gpu, unsigned long long *bits) { return reasons(gpu, bits); }
int nvmlDeviceGetCurrentClocksEventReasons(device *gpu, unsigned long long *bits) {
    return plays("old") ? NO_FUNCTION : reasons(gpu, bits);
}
int nvmlDeviceGetEncoderUtilization(device *gpu, unsigned *share, unsigned *period) { ASK(gpu); *share = 5; return OK; }
int nvmlDeviceGetDecoderUtilization(device *gpu, unsigned *share, unsigned *period) { ASK(gpu); *share = 40; return OK; }
int nvmlDeviceGetFanSpeed(device *gpu, unsigned *percent) {
    ASK(gpu);
    if (gpu->index == 1) return NOT_SUPPORTED;  /* passively cooled */
    *percent = 33;
    return OK;
}
int nvmlDeviceGetTotalEccErrors(device *gpu, int kind, int counter, unsigned long long *count) {
    ASK(gpu);
    *count = kind == 0 ? 7 : 0;
    return OK;
}
int nvmlDeviceGetCurrPcieLinkGeneration(device *gpu, unsigned *number) { ASK(gpu); *number = 4; return OK; }
int nvmlDeviceGetCurrPcieLinkWidth(device *gpu, unsigned *number) { ASK(gpu); *number = 16; return OK; }
int nvmlDeviceGetPcieThroughput(device *gpu, int counter, unsigned *kilobytes) {
    ASK(gpu);
    *kilobytes = counter == 1 ? 2500 : 800;
    return OK;
}
static int processes(device *gpu, unsigned *count, process *list) {
    ASK(gpu);
    if (gpu->index == 1) { *count = 0; return OK; }
    if (*count < 2) { *count = 2; return INSUFFICIENT; }
    list[0] = (process){1, 5ull << 30, 0, 0};
    list[1] = (process){(unsigned)getpid(), 3ull << 20, 0, 0};
    *count = 2;
    return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v2(device *gpu, unsigned *count, process *list) { return processes(gpu, count, list); }
int nvmlDeviceGetComputeRunningProcesses_v3(device *gpu, unsigned *count, process *list) {
    return plays("old") ? NO_FUNCTION : processes(gpu, count, list);
}
int nvmlDeviceGetMigMode(device *gpu, unsigned *current, unsigned *pending) {
    ASK(gpu);
    *current = *pending = gpu->index == 0 && plays("mig");
    return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(device *gpu, unsigned *count) { ASK(gpu); *count = 3; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(device *gpu, unsigned slot, device **instance) {
    ASK(gpu);
    if (slot == 1) return NOT_FOUND;
    *instance = &instances[slot];
    return OK;
}
