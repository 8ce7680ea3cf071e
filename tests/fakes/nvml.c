/* An NVML that says what a text file says, for tests without a GPU. The path of the file is compiled in as STATE.
 *
 * Lines: "driver 580.159.04", "cuda 13000", "init 9" (the error of nvmlInitWithFlags), "sleep 60" (seconds that it
 * takes), "crash 1", "gpu BUS MINOR UUID BRAND MAJOR MINOR", and behind a gpu "mig UUID GI CI".
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mig {
    char uuid[64];
    unsigned gi, ci;
};

struct gpu {
    char bus[32], uuid[64];
    unsigned minor, migs;
    int brand, major, minor_arch;
    struct mig mig[8];
};

typedef struct {
    char busIdLegacy[16];
    unsigned domain, bus, device, pciDeviceId, pciSubSystemId;
    char busId[32];
} pci_info;

static struct gpu gpus[8];
static unsigned count;
static char driver[64];
static int cuda;

const char *nvmlErrorString(int error)
{
    return error == 9 ? "Driver Not Loaded" : error == 18 ? "Driver/library version mismatch" : "Unknown Error";
}

int nvmlInitWithFlags(unsigned flags)
{
    char line[256], word[64];
    int number, error = 0;
    FILE *file = fopen(STATE, "r");

    (void)flags;
    if (file == NULL || getenv("PATH") != NULL || getenv("LD_PRELOAD") != NULL)
        return 999; /* it is to have no environment */
    puts("this is not for anybody to see");
    fflush(stdout);
    while (fgets(line, sizeof line, file) != NULL) {
        struct gpu *gpu = &gpus[count];
        if (sscanf(line, "driver %63s", driver) == 1 || sscanf(line, "cuda %d", &cuda) == 1)
            continue;
        if (sscanf(line, "init %d", &number) == 1)
            error = number;
        else if (sscanf(line, "sleep %d", &number) == 1)
            sleep((unsigned)number);
        else if (sscanf(line, "crash %d", &number) == 1)
            raise(SIGKILL);
        else if (sscanf(line, "gpu %31s %u %63s %d %d %d", gpu->bus, &gpu->minor, gpu->uuid, &gpu->brand, &gpu->major,
                        &gpu->minor_arch) == 6)
            count++;
        else if (count > 0 && sscanf(line, "mig %63s", word) == 1) {
            struct mig *mig = &gpus[count - 1].mig[gpus[count - 1].migs++];
            sscanf(line, "mig %63s %u %u", mig->uuid, &mig->gi, &mig->ci);
        }
    }
    fclose(file);
    return error;
}

int nvmlShutdown(void)
{
    return 0;
}

int nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    snprintf(version, length, "%s", driver);
    return 0;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    *version = cuda;
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *found)
{
    *found = count;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = &gpus[index];
    return index < count ? 0 : 2;
}

static struct gpu *is_gpu(void *device)
{
    for (unsigned at = 0; at < count; at++)
        if (device == &gpus[at])
            return &gpus[at];
    return NULL;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length)
{
    struct gpu *gpu = is_gpu(device);
    snprintf(uuid, length, "%s", gpu != NULL ? gpu->uuid : ((struct mig *)device)->uuid);
    return 0;
}

int nvmlDeviceGetName(void *device, char *name, unsigned length)
{
    (void)device;
    snprintf(name, length, "Fake GPU");
    return 0;
}

int nvmlDeviceGetMinorNumber(void *device, unsigned *minor)
{
    *minor = ((struct gpu *)device)->minor;
    return 0;
}

int nvmlDeviceGetPciInfo_v3(void *device, pci_info *pci)
{
    memset(pci, 0, sizeof *pci);
    strcpy(pci->busId, ((struct gpu *)device)->bus);
    return 0;
}

int nvmlDeviceGetBrand(void *device, int *brand)
{
    *brand = ((struct gpu *)device)->brand;
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
    *major = ((struct gpu *)device)->major;
    *minor = ((struct gpu *)device)->minor_arch;
    return 0;
}

int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *most)
{
    *most = ((struct gpu *)device)->migs > 0 ? 7 : 0;
    return 0;
}

/* every other number is left out, as there are gaps in those of a real GPU */
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **mig)
{
    struct gpu *gpu = device;

    if (index % 2 != 0 || index / 2 >= gpu->migs)
        return 6;
    *mig = &gpu->mig[index / 2];
    return 0;
}

int nvmlDeviceGetGpuInstanceId(void *device, unsigned *id)
{
    *id = ((struct mig *)device)->gi;
    return 0;
}

int nvmlDeviceGetComputeInstanceId(void *device, unsigned *id)
{
    *id = ((struct mig *)device)->ci;
    return 0;
}
