"""The table: which files belong to a driver, what they are for, and where they are looked for. Data only.

A class is one of the words of NVIDIA_DRIVER_CAPABILITIES; a file that has several is injected for any of them.
"""

CLASSES = ("compute", "utility", "video", "graphics", "display", "ngx", "compat32")
# what cannot be of use alone: encoders and decoders load libcuda, and what draws on a screen has to draw
INCLUDED = {"video": ("compute",), "display": ("graphics",)}

# lib*.so.VERSION, without the version
LIBRARIES = {
    "libnvidia-ml": "utility",
    "libnvidia-cfg": "utility",
    "libnvidia-nscq": "utility",
    "libnvidia-sandboxutils": "utility",
    "libcuda": "compute",
    "libcudadebugger": "compute",
    "libnvidia-opencl": "compute",
    "libnvidia-gpucomp": "compute graphics",
    "libnvidia-ptxjitcompiler": "compute",
    "libnvidia-fatbinaryloader": "compute",
    "libnvidia-allocator": "compute graphics",
    "libnvidia-compiler": "compute",
    "libnvidia-pkcs11": "compute",
    "libnvidia-pkcs11-openssl3": "compute",
    "libnvidia-nvvm": "compute",
    "libnvidia-nvvm70": "compute",
    "libnvidia-tileiras": "compute",
    "libvdpau_nvidia": "video",
    "libnvidia-encode": "video",
    "libnvidia-opticalflow": "video",
    "libnvcuvid": "video",
    "libnvidia-eglcore": "graphics",
    "libnvidia-glcore": "graphics",
    "libnvidia-tls": "graphics",
    "libnvidia-glsi": "graphics",
    "libnvidia-fbc": "graphics",
    "libnvidia-ifr": "graphics",
    "libnvidia-rtcore": "graphics",
    "libnvoptix": "graphics",
    "libGLX_nvidia": "graphics",
    "libEGL_nvidia": "graphics",
    "libGLESv2_nvidia": "graphics",
    "libGLESv1_CM_nvidia": "graphics",
    "libnvidia-glvkspirv": "graphics",
    "libnvidia-cbl": "graphics",
    "libnvidia-vulkan-producer": "graphics",
    "libnvidia-api": "graphics",
    "libnvidia-egl-gbm": "graphics",
    "libnvidia-egl-wayland": "graphics",
    "libnvidia-egl-wayland2": "graphics",
    "libnvidia-egl-xcb": "graphics",
    "libnvidia-egl-xlib": "graphics",
    "libglxserver_nvidia": "display",
    "nvidia_drv": "display",
    "libnvidia-ngx": "ngx",
}
# a library that a later driver brings: it works without a release of ours
UNKNOWN_LIBRARY = "compute graphics"
# their number is not the driver's
OWN_VERSION = (
    "libnvidia-api",
    "libnvidia-egl-gbm",
    "libnvidia-egl-wayland",
    "libnvidia-egl-wayland2",
    "libnvidia-egl-xcb",
    "libnvidia-egl-xlib",
    "libnvidia-nvvm70",
)
# found by their path, so they keep their directory below the library directory: (name, directory)
IN_DIRECTORIES = {"libvdpau_nvidia": "vdpau"}
# the X server looks for its modules in a tree of its own
X_MODULES = {"nvidia_drv": "xorg/modules/drivers", "libglxserver_nvidia": "xorg/modules/extensions"}

# names that programs open beside the SONAME: (link, SONAME of the target, target as it stands in the link, class)
LINKS = (
    ("libcuda.so", "libcuda.so.1", "libcuda.so.1", "compute"),
    ("libnvidia-ml.so", "libnvidia-ml.so.1", "libnvidia-ml.so.1", "utility"),
    ("libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1", "libnvidia-opticalflow.so.1", "video"),
    ("libnvcuvid.so", "libnvcuvid.so.1", "libnvcuvid.so.1", "video"),
    ("libnvidia-encode.so", "libnvidia-encode.so.1", "libnvidia-encode.so.1", "video"),
    ("libGLX_indirect.so.0", "libGLX_nvidia.so.0", "libGLX_nvidia.so.0", "graphics"),
    ("gbm/nvidia-drm_gbm.so", "libnvidia-allocator.so.1", "../libnvidia-allocator.so.1", "graphics"),
)

BINARIES = {
    "nvidia-smi": "utility",
    "nvidia-debugdump": "utility",
    "nvidia-persistenced": "utility",
    "nv-fabricmanager": "utility",
    "nvidia-imex": "utility",
    "nvidia-imex-ctl": "utility",
    "nvidia-cuda-mps-control": "compute",
    "nvidia-cuda-mps-server": "compute",
    "nvidia-xconfig": "display",
}

# below /etc, /usr/share and the like; and the directory that the container has it in. VERSION is the driver's.
CONFIGURATION = (
    ("glvnd/egl_vendor.d/10_nvidia.json", "/usr/share", "graphics"),
    ("egl/egl_external_platform.d/15_nvidia_gbm.json", "/usr/share", "graphics"),
    ("egl/egl_external_platform.d/10_nvidia_wayland.json", "/usr/share", "graphics"),
    ("egl/egl_external_platform.d/09_nvidia_wayland2.json", "/usr/share", "graphics"),
    ("egl/egl_external_platform.d/20_nvidia_xcb.json", "/usr/share", "graphics"),
    ("egl/egl_external_platform.d/20_nvidia_xlib.json", "/usr/share", "graphics"),
    ("nvidia/nvoptix.bin", "/usr/share", "graphics"),
    ("nvidia/nvidia-application-profiles-VERSION-rc", "/usr/share", "graphics"),
    ("nvidia/nvidia-application-profiles-VERSION-key-documentation", "/usr/share", "graphics"),
    ("X11/xorg.conf.d/10-nvidia.conf", "/usr/share", "display"),
    ("X11/xorg.conf.d/nvidia-drm-outputclass.conf", "/usr/share", "display"),
    ("OpenCL/vendors/nvidia.icd", "/etc", "compute"),
    ("vulkan/icd.d/nvidia_icd.json", "/etc", "graphics"),
    ("vulkan/icd.d/nvidia_icd.x86_64.json", "/etc", "graphics"),
    ("vulkan/icd.d/nvidia_icd.aarch64.json", "/etc", "graphics"),
    ("vulkan/icd.d/nvidia_layers.json", "/etc", "graphics"),
    ("vulkan/implicit_layer.d/nvidia_layers.json", "/etc", "graphics"),
)

FIRMWARE = "utility compute"
# of running services: (path, class, whether it is a directory). Tried below /run, then below /var/run.
SOCKETS = (
    ("nvidia-persistenced/socket", "utility"),
    ("nvidia-fabricmanager/socket", "utility"),
)
MPS_DIRECTORY = "/tmp/nvidia-mps"

# those that belong to no GPU: (path, names of the driver in /proc/devices, minor, classes; "" with any driver)
CONTROL_NODES = (
    ("/dev/nvidiactl", ("nvidiactl", "nvidia", "nvidia-frontend"), 255, ""),
    ("/dev/nvidia-uvm", ("nvidia-uvm",), 0, "compute"),
    ("/dev/nvidia-uvm-tools", ("nvidia-uvm",), 1, "compute"),
    ("/dev/nvidia-modeset", ("nvidia-modeset", "nvidia", "nvidia-frontend"), 254, "graphics display"),
)
GPU_DRIVERS = ("nvidia", "nvidia-frontend")
CAPS_DRIVER = "nvidia-caps"
DRM_MAJOR = 226

# where drivers are installed below a root: (directory, whether it is a root of its own, with links that stay inside)
PLACES = (
    ("", False),  # packages and the .run installer
    ("/usr/local/nvidia", False),  # GKE, CoreOS
    ("/home/kubernetes/bin/nvidia", False),  # GKE on Container-Optimized OS
    ("/run/nvidia/driver", True),  # the driver container of the GPU operator
    ("/run/opengl-driver", False),  # NixOS
    ("/var/lib/nvidia", False),  # installer of Container-Optimized OS
    ("/opt/nvidia", False),
    ("/usr/lib/wsl", False),
)
LIBRARY_DIRECTORIES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/lib64",
    "/lib",
    "/usr/lib/i386-linux-gnu",
    "/usr/lib32",
)
# below each of them
SUBDIRECTORIES = ("nvidia/current", "vdpau", "tls", "nvidia/xorg", "xorg/modules/drivers", "xorg/modules/extensions")
BINARY_DIRECTORIES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin")
CONFIGURATION_DIRECTORIES = ("/etc", "/usr/local/share", "/usr/share", "/share", "")

# CUDA of a branch of the driver, from its release notes; what is not here is asked of the driver's own libraries
CUDA_OF_BRANCH = {
    450: "11.0",
    455: "11.1",
    460: "11.2",
    465: "11.3",
    470: "11.4",
    495: "11.5",
    510: "11.6",
    515: "11.7",
    520: "11.8",
    525: "12.0",
    530: "12.1",
    535: "12.2",
    545: "12.3",
    550: "12.4",
    555: "12.5",
    560: "12.6",
    565: "12.7",
    570: "12.8",
    575: "12.9",
    580: "13.0",
}
