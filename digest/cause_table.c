/*
 * digest/cause_table.c -- which words mean which cause, and who says them.
 *
 * The first rule that holds wins, so what is particular stands before what is general. A rule for any
 * line (not CAUSE_ERROR) must hold no word that a healthy log prints.
 */
#include "digest/cause_table.h"

#define ANY CAUSE_ANY
#define ERR CAUSE_ERROR
#define START CAUSE_START
#define WHOLE CAUSE_WHOLE
#define NAMED (CAUSE_PYTHON | CAUSE_ERROR)

const struct cause_rule cause__rules[] = {
    /* ---- GPUs. PyTorch: c10/cuda/CUDACachingAllocator.cpp, c10/cuda/CUDAException.cpp (the words after "CUDA
     * error: " are cudaGetErrorString's). JAX/XLA: RESOURCE_EXHAUSTED. */
    {CAUSE_CUDA_OOM, ANY, {"CUDA out of memory"}},
    {CAUSE_CUDA_OOM, ERR, {"CUDA error: out of memory"}},
    {CAUSE_CUDA_OOM, ERR, {"CUDA_ERROR_OUT_OF_MEMORY"}},
    {CAUSE_CUDA_OOM, ERR, {"CUBLAS_STATUS_ALLOC_FAILED"}},
    {CAUSE_CUDA_OOM, ERR, {"HIP out of memory"}},
    {CAUSE_CUDA_OOM, ERR, {"RESOURCE_EXHAUSTED", "ut of memory"}},
    {CAUSE_ECC, ERR, {"uncorrectable ECC error"}},
    {CAUSE_ECC, ANY, {"NVRM: Xid", "double bit error"}},
    {CAUSE_ECC, ANY, {"NVRM: Xid", "): 48,"}},
    {CAUSE_ECC, ANY, {"NVRM: Xid", "ncontained ECC error"}},
    {CAUSE_NVLINK, ANY, {"NVRM: Xid", "): 74,"}},
    /* docs.nvidia.com/deploy/xid-errors: "NVRM: Xid (PCI:0000:3b:00): 79, …" in the kernel's log */
    {CAUSE_XID, ANY, {"NVRM: Xid"}},
    {CAUSE_XID, ANY, {"GPU has fallen off the bus"}},
    {CAUSE_NVLINK, ERR, {"uncorrectable NVLink error"}},
    {CAUSE_NVLINK, ERR, {"Invalid access of peer GPU memory over nvlink"}},
    {CAUSE_CUDA_ASSERT, ERR, {"device-side assert triggered"}},
    {CAUSE_CUDA_ASSERT, ANY, {": block: [", "thread: [", "Assertion `"}},
    {CAUSE_NO_GPU, ERR, {"No CUDA GPUs are available"}},
    {CAUSE_NO_GPU, ERR, {"Found no NVIDIA driver"}},
    {CAUSE_NO_GPU, ERR, {"driver version is insufficient"}},
    {CAUSE_NO_GPU, ERR, {"NVIDIA driver on your system is too old"}},
    {CAUSE_NO_GPU, ERR, {"no CUDA-capable device is detected"}},
    {CAUSE_NO_GPU, ERR, {"is/are busy or unavailable"}},
    {CAUSE_NO_GPU, ERR, {"Torch not compiled with CUDA enabled"}},
    {CAUSE_NO_GPU, ERR, {"no kernel image is available for execution"}},
    {CAUSE_NO_GPU, ERR, {"Failed to initialize NVML"}},
    {CAUSE_NO_GPU, ERR, {"CUDA error: invalid device ordinal"}},
    /* ---- NCCL. PyTorch: torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp, NCCLUtils.cpp;
     * NCCL: src/transport, src/misc/socket.cc */
    {CAUSE_NCCL_TIMEOUT, ANY, {"Watchdog caught collective operation timeout"}},
    {CAUSE_NCCL_TIMEOUT, ERR, {"Some NCCL operations have failed or timed out"}},
    {CAUSE_NCCL_TIMEOUT,
     ERR,
     {"To avoid data inconsistency, we are taking the entire process down"}},
    {CAUSE_NCCL_TIMEOUT, ERR, {"failure detected by watchdog at work sequence id"}},
    {CAUSE_NCCL_TIMEOUT, ERR, {"Received a dump signal due to a collective timeout"}},
    {CAUSE_NCCL_TIMEOUT, ERR, {"ProcessGroupNCCL's watchdog got stuck"}},
    {CAUSE_NCCL_TIMEOUT, ERR, {"NCCL communicator was aborted"}},
    {CAUSE_NCCL_TIMEOUT,
     ERR,
     {"Timed out waiting", "ms for send operation"}}, /* gloo/transport/tcp */
    {CAUSE_NCCL_TIMEOUT, ERR, {"Timed out waiting", "ms for recv operation"}},
    {CAUSE_NCCL_REMOTE, ERR, {"ncclRemoteError"}},
    {CAUSE_NCCL_REMOTE, ERR, {"remote process exited or there was a network error"}},
    {CAUSE_NCCL_REMOTE, ERR, {"Connection closed by remote peer"}},
    {CAUSE_NCCL_REMOTE, ANY, {"NCCL WARN", "Connection closed by remote peer"}},
    {CAUSE_NCCL_REMOTE, ANY, {"NCCL WARN", "ot completion", "from peer"}},
    {CAUSE_NCCL_ERROR, ERR, {"NCCL error"}},
    {CAUSE_NCCL_ERROR, ERR, {"ncclSystemError"}},
    {CAUSE_NCCL_ERROR, ERR, {"ncclUnhandledCudaError"}},
    {CAUSE_NCCL_ERROR, ERR, {"ncclInternalError"}},
    {CAUSE_CUDA_ERROR, ERR, {"CUDA error: "}},
    {CAUSE_CUDA_ERROR, ERR, {"CUDA driver error: "}},
    {CAUSE_CUDA_ERROR, ERR, {"cuDNN error: "}},
    {CAUSE_CUDA_ERROR, ERR, {"CUBLAS_STATUS_"}},
    {CAUSE_CUDA_ERROR, ERR, {"an illegal memory access was encountered"}},

    /* ---- memory and disks. Linux: mm/oom_kill.c, mm/memcontrol.c; slurmstepd: common/oom; kubelet: reason OOMKilled */
    {CAUSE_OOM_KILLED, ANY, {"Out of memory: Killed process"}},
    {CAUSE_OOM_KILLED, ANY, {"Memory cgroup out of memory"}},
    {CAUSE_OOM_KILLED, ANY, {"oom-kill:constraint="}},
    {CAUSE_OOM_KILLED, ANY, {"invoked oom-killer"}},
    {CAUSE_OOM_KILLED, ANY, {"etected", "oom_kill event"}},
    {CAUSE_OOM_KILLED, ANY, {"etected", "oom-kill event"}},
    {CAUSE_OOM_KILLED, ANY, {"Out Of Memory", "slurmstepd"}},
    {CAUSE_OOM_KILLED, ANY, {"OOMKilled"}},
    {CAUSE_OOM_KILLED, ERR, {"killed due to the node running low on memory"}}, /* Ray */
    {CAUSE_SHARED_MEMORY,
     ANY,
     {"insufficient shared memory (shm)"}}, /* torch/utils/data/_utils/signal_handling.py */
    {CAUSE_SHARED_MEMORY, ERR, {"nable to ", "shared memory object"}},
    {CAUSE_SHARED_MEMORY, ERR, {"No space left on device", "/dev/shm"}},
    {CAUSE_DISK_FULL, ERR, {"No space left on device"}},
    {CAUSE_DISK_FULL, ERR, {"Disk quota exceeded"}},
    {CAUSE_DISK_FULL, ERR, {"not enough space on the disk"}},
    {CAUSE_HOST_OOM, NAMED, {"MemoryError"}},
    {CAUSE_HOST_OOM, ERR, {"Cannot allocate memory"}},
    {CAUSE_HOST_OOM, ERR, {"std::bad_alloc"}},
    {CAUSE_HOST_OOM, ERR, {"DefaultCPUAllocator: can't allocate memory"}},
    {CAUSE_HOST_OOM, ERR, {"DefaultCPUAllocator: not enough memory"}},
    {CAUSE_HOST_OOM, ERR, {"Unable to allocate", "for an array with shape"}}, /* numpy */
    {CAUSE_HOST_OOM, ERR, {"java.lang.OutOfMemoryError"}},
    {CAUSE_HOST_OOM, ERR, {"fatal error: runtime: out of memory"}},    /* Go */
    {CAUSE_HOST_OOM, ANY, {"memory allocation of ", " bytes failed"}}, /* Rust */
    {CAUSE_SYSTEM_LIMIT, ERR, {"Too many open files"}},
    {CAUSE_SYSTEM_LIMIT, ERR, {"can't start new thread"}},
    {CAUSE_SYSTEM_LIMIT, ERR, {"fork: ", "Resource temporarily unavailable"}},

    /* ---- data and numbers. torch/utils/data/_utils/signal_handling.py, dataloader.py, worker.py */
    {CAUSE_DATALOADER_WORKER, ERR, {"DataLoader worker (pid"}},
    {CAUSE_DATALOADER_WORKER, ERR, {"in DataLoader worker process"}},
    {CAUSE_DATALOADER_WORKER, ERR, {"Pin memory thread exited unexpectedly"}},
    {CAUSE_NAN_LOSS, ERR, {"loss is nan"}},
    {CAUSE_NAN_LOSS, ERR, {"loss is NaN"}},
    {CAUSE_NAN_LOSS, ERR, {"oss is nan"}},
    {CAUSE_NAN_LOSS, ERR, {"oss is NaN"}},
    {CAUSE_NAN_LOSS, ERR, {"NaN loss"}},
    {CAUSE_NAN_LOSS, ERR, {"nan loss"}},
    {CAUSE_NAN_LOSS, ERR, {"NaN or Inf found in"}},
    {CAUSE_NAN_LOSS, ERR, {"found NaN in"}},               /* Megatron-LM rerun_state_machine */
    {CAUSE_NAN_LOSS, ERR, {"returned nan values in its"}}, /* torch.autograd anomaly mode */
    {CAUSE_NAN_LOSS, ERR, {"oss is inf"}},
    {CAUSE_NAN_LOSS, ERR, {"on-finite loss"}},
    {CAUSE_NAN_LOSS, ERR, {"oss", "is not finite"}},
    {CAUSE_NAN_LOSS, ERR, {"loss scale already at minimum"}}, /* DeepSpeed */
    {CAUSE_NAN_LOSS, ERR, {"Minimum loss scale reached"}},    /* fairseq */
    {CAUSE_NAN_LOSS, NAMED, {"FloatingPointError"}},
    {CAUSE_CHECKPOINT,
     ERR,
     {"PytorchStreamReader failed"}},              /* caffe2/serialize/inline_container.cc */
    {CAUSE_CHECKPOINT, ERR, {"invalid load key"}}, /* CPython: pickle */
    {CAUSE_CHECKPOINT, ERR, {"pickle data was truncated"}},
    {CAUSE_CHECKPOINT, ERR, {"EOFError: Ran out of input"}},
    {CAUSE_CHECKPOINT, ERR, {"rror(s) in loading state_dict"}},
    {CAUSE_CHECKPOINT, ERR, {"Weights only load failed"}},
    {CAUSE_CHECKPOINT, ERR, {"Error while deserializing header"}}, /* safetensors */
    {CAUSE_CHECKPOINT, NAMED, {"BadZipFile"}},
    {CAUSE_TENSOR, ERR, {"shapes cannot be multiplied"}},
    {CAUSE_TENSOR, ERR, {"must match the size of tensor"}},
    {CAUSE_TENSOR, ERR, {"is invalid for input of size"}},
    {CAUSE_TENSOR, ERR, {"Expected all tensors to be on the same device"}},
    {CAUSE_TENSOR, ERR, {"must have the same dtype"}},
    {CAUSE_TENSOR, ERR, {"Sizes of tensors must match except in dimension"}},

    /* ---- images and schedulers. kubelet: pkg/kubelet/images; containerd; execve(2) */
    {CAUSE_BAD_IMAGE, ANY, {"ImagePullBackOff"}},
    {CAUSE_BAD_IMAGE, ANY, {"ErrImagePull"}},
    {CAUSE_BAD_IMAGE, ANY, {"InvalidImageName"}},
    {CAUSE_BAD_IMAGE, ANY, {"Back-off pulling image"}},
    {CAUSE_BAD_IMAGE, ANY, {"Failed to pull image"}},
    {CAUSE_BAD_IMAGE, ANY, {"ailed to pull and unpack image"}},
    {CAUSE_BAD_IMAGE, ERR, {"manifest unknown"}},
    {CAUSE_BAD_IMAGE, ERR, {"pull access denied"}},
    {CAUSE_BAD_IMAGE, ANY, {"exec format error"}},
    {CAUSE_BAD_IMAGE, ANY, {"Exec format error"}},
    {CAUSE_TIME_LIMIT, ANY, {"slurmstepd: error: ***", "DUE TO TIME LIMIT"}},
    {CAUSE_PREEMPTED, ANY, {"slurmstepd: error: ***", "DUE TO PREEMPTION"}},
    {CAUSE_PREEMPTED, ANY, {"slurmstepd: error: ***", "DUE TO NODE FAILURE"}},
    {CAUSE_TERMINATED, ANY, {"slurmstepd: error: ***", "CANCELLED AT"}},
    {CAUSE_TERMINATED, ERR, {"SignalException", "got signal: 15"}},
    /* ---- launchers' reports. torch/distributed/elastic/multiprocessing/{api,errors}; srun; Open MPI */
    {CAUSE_CHILD_FAILED, ANY, {"Root Cause (first observed failure)"}},
    {CAUSE_CHILD_FAILED, ERR, {"ChildFailedError"}},
    {CAUSE_CHILD_FAILED, ERR, {"failed (exitcode: "}},
    {CAUSE_CHILD_FAILED, ERR, {"[launch.py:", "exits with return code = "}}, /* deepspeed/launcher/launch.py */
    {CAUSE_CHILD_FAILED, ANY | START, {"srun: error: ", ": task"}},
    {CAUSE_CHILD_FAILED, ANY | START, {"mpirun noticed that process rank"}},
    {CAUSE_CHILD_FAILED, ANY | START, {"mpirun detected that one or more processes"}},
    {CAUSE_CHILD_FAILED, ANY | START, {"Primary job  terminated normally"}},
    {CAUSE_CHILD_FAILED, ANY | START, {"prterun noticed that process rank"}},
    {CAUSE_CHILD_FAILED, ANY | START, {"prterun detected that one or more processes"}},
    {CAUSE_CHILD_FAILED, ERR, {"ProcessExitedException"}},
    {CAUSE_CHILD_FAILED, ERR, {"ProcessRaisedException"}},
    {CAUSE_TERMINATED,
     ANY,
     {"closing signal SIGTERM"}}, /* torchrun tells its other workers to go */

    /* ---- peers that went. CPython and errno(3); gloo/transport/tcp/pair.cc; PyTorch:
     * torch/csrc/distributed/c10d/{TCPStore,socket}.cpp */
    {CAUSE_PORT_IN_USE, ERR, {"Address already in use"}},
    {CAUSE_PORT_IN_USE, ERR, {"address already in use"}},
    {CAUSE_PORT_IN_USE, ERR, {"EADDRINUSE"}},
    {CAUSE_NAME_RESOLUTION, ERR, {"Name or service not known"}},
    {CAUSE_NAME_RESOLUTION, ERR, {"Temporary failure in name resolution"}},
    {CAUSE_NAME_RESOLUTION, ERR, {"No address associated with hostname"}},
    {CAUSE_CONNECTION, ERR, {"Connection reset by peer"}},
    {CAUSE_CONNECTION, ERR, {"Connection closed by peer"}},
    {CAUSE_CONNECTION, ERR, {"Broken pipe"}},
    {CAUSE_CONNECTION, NAMED, {"ConnectionResetError"}},
    {CAUSE_CONNECTION, NAMED, {"BrokenPipeError"}},
    {CAUSE_CONNECTION, NAMED, {"ConnectionAbortedError"}},
    {CAUSE_CONNECTION, NAMED, {"ConnectionRefusedError"}},
    {CAUSE_CONNECTION, ERR, {"Connection refused"}},
    {CAUSE_CONNECTION, ERR, {"Connection timed out"}},
    {CAUSE_CONNECTION, ERR, {"No route to host"}},
    {CAUSE_CONNECTION, ERR, {"unexpectedly closed the connection"}},
    {CAUSE_CONNECTION, NAMED, {"EOFError", "multiprocessing/connection.py"}},
    {CAUSE_STORE, ERR, {"DistStoreError"}},
    {CAUSE_STORE, ERR, {"DistNetworkError"}},
    {CAUSE_STORE, ERR, {"Socket Timeout"}},
    {CAUSE_STORE, ERR, {"wait timeout after"}},
    {CAUSE_STORE, ERR, {"recvValue failed"}},
    {CAUSE_STORE, ERR, {"Timed out after", "waiting for clients"}},
    {CAUSE_STORE, ERR, {"RendezvousTimeoutError"}},
    {CAUSE_STORE, ERR, {"RendezvousConnectionError"}},
    {CAUSE_STORE, ERR, {"TCPStore", "timed out"}},
    {CAUSE_STORE, NAMED, {"TimeoutError"}},

    /* ---- programs. CPython's exceptions; ld.so(8); glibc malloc/malloc.c, assert/assert.c; libstdc++ */
    {CAUSE_IMPORT_ERROR, NAMED, {"ModuleNotFoundError"}},
    {CAUSE_IMPORT_ERROR, NAMED, {"ImportError"}},
    {CAUSE_IMPORT_ERROR, ANY, {"error while loading shared libraries"}},
    {CAUSE_IMPORT_ERROR, ERR, {"cannot open shared object file"}},
    {CAUSE_IMPORT_ERROR, ERR, {"undefined symbol: "}},
    {CAUSE_IMPORT_ERROR, ANY, {"version `GLIBC", "not found"}},
    {CAUSE_IMPORT_ERROR, ANY, {": No module named "}}, /* python -m */
    {CAUSE_CREDENTIALS, ERR, {"401 Client Error"}},
    {CAUSE_CREDENTIALS, ERR, {"403 Client Error"}},
    {CAUSE_CREDENTIALS, ERR, {"GatedRepoError"}},
    {CAUSE_CREDENTIALS, ERR, {"HTTP Error 401"}},
    {CAUSE_CREDENTIALS, ERR, {"HTTP Error 403"}},
    {CAUSE_CREDENTIALS, ERR, {"NoCredentialsError"}},
    {CAUSE_CREDENTIALS, ERR, {"AccessDenied"}},
    {CAUSE_COMMAND,
     ANY,
     {"can't open file ", "[Errno 2] No such file or directory"}}, /* python3 nothere.py */
    {CAUSE_COMMAND, ANY, {": command not found"}},
    {CAUSE_FILE_NOT_FOUND, NAMED, {"FileNotFoundError"}},
    {CAUSE_FILE_NOT_FOUND, ERR, {"No such file or directory"}},
    {CAUSE_FILE_NOT_FOUND, NAMED, {"NotADirectoryError"}},
    {CAUSE_PERMISSION, NAMED, {"PermissionError"}},
    {CAUSE_PERMISSION, ERR, {"Permission denied"}},
    {CAUSE_PERMISSION, ERR, {"Read-only file system"}},
    {CAUSE_CONFIG, ANY, {": error: unrecognized arguments: "}}, /* argparse */
    {CAUSE_CONFIG, ANY, {": error: the following arguments are required: "}},
    {CAUSE_CONFIG, ANY, {": error: argument "}},
    {CAUSE_CONFIG, ERR, {"omegaconf.errors."}},
    {CAUSE_CONFIG, ERR, {"hydra.errors."}},
    {CAUSE_CONFIG, ERR, {"Could not override "}},
    {CAUSE_CONFIG, ERR, {"yaml.scanner.ScannerError"}},
    {CAUSE_CONFIG, ERR, {"yaml.parser.ParserError"}},
    {CAUSE_CONFIG, ERR, {"validation error", "for "}}, /* pydantic */
    {CAUSE_SEGFAULT, ANY, {"Fatal Python error: Segmentation fault"}},
    {CAUSE_SEGFAULT, ANY | START, {"Segmentation fault"}},
    {CAUSE_SEGFAULT, ANY, {"Signal 11 (SIGSEGV)"}},
    {CAUSE_SEGFAULT, ERR, {"SIGSEGV: segmentation violation"}},      /* Go */
    {CAUSE_SEGFAULT, ANY, {"*** SIGSEGV"}},                          /* glog */
    {CAUSE_SEGFAULT, ANY, {"Caught signal 11 (Segmentation fault"}}, /* UCX */
    {CAUSE_BUS_ERROR, ANY | START, {"Bus error"}},
    {CAUSE_BUS_ERROR, ANY, {"Fatal Python error: Bus error"}},
    {CAUSE_HEAP_CORRUPTION, ANY | START, {"free(): "}},
    {CAUSE_HEAP_CORRUPTION, ANY | START, {"double free or corruption"}},
    {CAUSE_HEAP_CORRUPTION, ANY | START, {"malloc(): "}},
    {CAUSE_HEAP_CORRUPTION, ANY | START, {"malloc_consolidate(): "}},
    {CAUSE_HEAP_CORRUPTION, ANY | START, {"munmap_chunk(): "}},
    {CAUSE_HEAP_CORRUPTION, ANY | START, {"realloc(): "}},
    {CAUSE_HEAP_CORRUPTION, ANY | START, {"corrupted size vs. prev_size"}},
    {CAUSE_HEAP_CORRUPTION, ANY | START, {"corrupted double-linked list"}},
    {CAUSE_HEAP_CORRUPTION, ANY | START, {"*** stack smashing detected ***"}},
    {CAUSE_HEAP_CORRUPTION, ANY | START, {"*** buffer overflow detected ***"}},
    {CAUSE_ASSERTION, ANY, {": Assertion `", "' failed"}},
    {CAUSE_ASSERTION, NAMED, {"AssertionError"}},
    {CAUSE_INTERRUPTED, NAMED, {"KeyboardInterrupt"}},
    {CAUSE_ABORT, ANY, {"Fatal Python error: Aborted"}},
    {CAUSE_CPP_EXCEPTION, ANY | START, {"terminate called "}},
    {CAUSE_JAVA_EXCEPTION, ANY | START, {"Exception in thread \"", "java."}},
    {CAUSE_SIGKILL, ANY | WHOLE, {"Killed"}}, /* what a shell says */
    {CAUSE_SIGKILL, ANY, {"Signal 9 (SIGKILL)"}},
    {CAUSE_TERMINATED, ANY | WHOLE, {"Terminated"}},
};

const unsigned cause__rule_count = sizeof cause__rules / sizeof *cause__rules;
