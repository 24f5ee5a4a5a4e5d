# couplet: `make help` lists what can be done.
#
# Objects live in build/<kind>/, so that a sanitizer build and a plain one never mix and switching never cleans.
# V=1 shows the commands.

.DEFAULT_GOAL := all
comma := ,

PREFIX ?= /usr/local
SANITIZE ?=
OPT ?= -O2 -g
GOLDEN_DIR ?= tests/golden
build := build/$(if $(SANITIZE),$(subst $(comma),-,$(SANITIZE)),plain)

# ---- What the system has to bring (Debian and Ubuntu names) ------------------------------------------------------

# CC=clang and CC=clang-16 want their own run-time of OpenMP as well.
PACKAGES_COMPILER := $(or $(foreach c,$(filter clang%,$(notdir $(CC))),$(c) $(c:clang%=libomp%-dev)),gcc)
PACKAGES_BUILD := $(PACKAGES_COMPILER) libc6-dev make pkgconf libncurses-dev libcjson-dev libsixel-dev libpng-dev libdnnl-dev
PACKAGES_TEST := g++ libcmocka-dev tmux screen xterm ncurses-term foot-terminfo xvfb xfonts-base x11-xkb-utils xkb-data imagemagick python3 locales
PACKAGES_FULL := npm python3-numpy
PACKAGES_LINT := clang libomp-dev clang-format clang-tidy cppcheck mandoc shellcheck
PACKAGES_MODEL := python3-torch libopenblas0-pthread python3-pil python3-numpy fonts-noto-color-emoji
PACKAGES_FUZZ := clang libclang-rt-dev

PKG_CORE := libcjson libpng
PKG_TUI := ncursesw libsixel
# The compiler names its own OpenMP run-time. clang's stands before libgomp, which oneDNN brings, and answers for it too.
CORE_CFLAGS = $(shell pkg-config --cflags $(PKG_CORE) 2>/dev/null)
CORE_LIBS = $(shell pkg-config --libs $(PKG_CORE) 2>/dev/null || echo -lcjson -lpng) $(if $(without_cpu),,-ldnnl -fopenmp) -ldl -lm -lpthread
TUI_CFLAGS = $(shell pkg-config --cflags $(PKG_TUI) 2>/dev/null)
TUI_LIBS = $(shell pkg-config --libs $(PKG_TUI) 2>/dev/null || echo -lncursesw -ltinfo -lsixel)

# ---- Compiler ---------------------------------------------------------------------------------------------------

# MemorySanitizer wants all that runs to be its own: clang, and neither oneDNN nor what links it.
without_cpu := $(findstring memory,$(SANITIZE))
ifneq ($(without_cpu),)
CC := $(filter ccache,$(CC)) clang
CXX := $(filter ccache,$(CXX)) clang++
endif
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wformat=2
WERROR ?= $(if $(CI),-Werror)
SAN := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer $(if $(findstring undefined,$(SANITIZE)),-fno-sanitize-recover=undefined))
BASE_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(WERROR)
ALL_CFLAGS = $(BASE_CFLAGS) $(OPT) $(SAN) -fPIC -pthread $(CFLAGS)
ALL_LDFLAGS = $(SAN) -pthread $(LDFLAGS)
DEPENDENCIES = -MMD -MP

core_src := $(wildcard core/*.c core/*/*.c)
ifneq ($(without_cpu),)
core_src := $(filter-out core/cpu/% core/bench/%,$(core_src)) tests/fuzz/no_backend.c
endif
core_asm := $(wildcard core/model/builtin/*.S)
builtin_data := $(wildcard core/model/builtin/*.safetensors core/model/builtin/*.json core/model/builtin/*.txt)
tui_src := $(wildcard tui/*.c)
core_obj := $(core_src:%.c=$(build)/%.o) $(core_asm:%.S=$(build)/%.o)
tui_obj := $(tui_src:%.c=$(build)/%.o)
tui_parts := $(filter-out $(build)/tui/main.o,$(tui_obj))
test_src := $(wildcard tests/core/*/test_*.c tests/tui/test_*.c tests/fuzz/test_*.c)
test_bin := $(test_src:%.c=$(build)/%)
golden_src := $(wildcard tests/golden/*.c)
golden_obj := $(golden_src:%.c=$(build)/%.o)
helper_bin := $(patsubst %.c,$(build)/%,$(filter-out tests/e2e/used.c,$(wildcard tests/e2e/*.c tests/cli/*.c)))
# The program as it is, but that it notes which keys and commands are used.
program_used := $(build)/tests/e2e/couplet-used
lib := $(build)/libcouplet.a
program := $(build)/couplet

# CUDA where there is a compiler for it: code for these architectures, all made of one intermediate form, and that form itself,
# which newer devices compile when they load it. `make CUDA=no` leaves it out.
CUDA ?= yes
NVCC ?= $(firstword $(wildcard $(CUDA_HOME)/bin/nvcc) $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc))
CUDA_ARCHITECTURES ?= 80 86 89 90
cuda_codes := $(CUDA_ARCHITECTURES:%=sm_%) compute_$(firstword $(CUDA_ARCHITECTURES))
empty :=
space := $(empty) $(empty)
CUDA_CODE := -gencode 'arch=compute_$(firstword $(CUDA_ARCHITECTURES)),code=[$(subst $(space),$(comma),$(strip $(cuda_codes)))]'
cuda_root := $(patsubst %/bin/nvcc,%,$(realpath $(NVCC)))
cuda_header := $(and $(cuda_root),$(firstword $(wildcard $(cuda_root)/include/cuda_runtime_api.h $(cuda_root)/targets/*/include/cuda_runtime_api.h /usr/include/cuda_runtime_api.h)))
cudart := $(and $(cuda_root),$(firstword $(wildcard $(addsuffix /libcudart_static.a,$(cuda_root)/lib64 $(cuda_root)/lib $(cuda_root)/targets/*/lib /usr/lib/*-linux-gnu))))
CUDA_INCLUDE := $(and $(cuda_header),-isystem $(patsubst %/,%,$(dir $(cuda_header))))
# cuDNN's headers lie beside CUDA's, where the compiler looks anyway, or in a wheel of Python's.
cudnn_in_wheels = $(shell python3 -c 'import nvidia; print(*nvidia.__path__)' 2>/dev/null)
CUDNN_INCLUDE = $(if $(wildcard $(dir $(cuda_header))cudnn.h /usr/include/cudnn.h /usr/include/*-linux-gnu/cudnn.h),,$(addprefix -idirafter ,$(wildcard $(addsuffix /cudnn/include,$(cudnn_in_wheels)))))
cuda_is_old = $(shell sed -n 's/^\#define CUDART_VERSION *//p' $(cuda_header) | awk '$$1 < 12000 { print "CUDA 12 or newer is needed" }')
no_cuda := $(strip $(if $(filter no,$(CUDA)),as asked for,$(if $(cuda_root),$(if $(cuda_header),$(if $(cudart),$(cuda_is_old),no libcudart_static.a beside $(NVCC)),no headers beside $(NVCC)),no nvcc found (NVCC, CUDA_HOME, PATH, /usr/local/cuda))))
gpu_c := $(wildcard gpu/*.c)
gpu_cu := $(wildcard gpu/*.cu)
gpu_obj := $(gpu_c:gpu/%.c=build/cuda/%.o) $(gpu_cu:gpu/%.cu=build/cuda/%.cu.o)
module := $(if $(no_cuda),,libcouplet-cuda.so)
# The same sources on a CPU, for tests.
emulated := $(build)/tests/gpu/libcouplet-cuda.so
emulator_src := $(addprefix tests/gpu/,emulator.cc exchange.cc fiber.cc fake_runtime.cc fake_clock.cc)
fake_library_src := $(addprefix tests/gpu/,fake_blas.cc fake_dnn.cc)
emulated_obj := $(gpu_c:gpu/%.c=$(build)/tests/gpu/module/%.o) $(gpu_cu:gpu/%.cu=$(build)/tests/gpu/module/%.cu.o) $(patsubst %.cc,$(build)/%.o,$(emulator_src) $(fake_library_src))

Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-6s %s\n' $(1) '$(2)')

# ---- Program and library -----------------------------------------------------------------------------------------

.PHONY: all
all: couplet libcouplet.a $(or $(module),no-cuda) ## build ./couplet, ./libcouplet.a and, where nvcc is, the CUDA module

# The copies at the top are of the plain build only: a sanitizer run must not replace the user's program.
couplet: build/plain/couplet
	$(Q)cp -f $< $@.new && mv -f $@.new $@
libcouplet.a: build/plain/libcouplet.a
	$(Q)cp -f $< $@

$(program): $(tui_obj) $(lib)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(tui_obj) $(lib) $(TUI_LIBS) $(CORE_LIBS)
$(lib): $(core_obj)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(core_obj)
ifneq ($(build),build/plain)
# One make for both, which knows what they are made of.
build/plain/couplet build/plain/libcouplet.a &: FORCE
	$(Q)$(MAKE) --no-print-directory SANITIZE= build=build/plain build/plain/couplet build/plain/libcouplet.a
endif
.PHONY: FORCE
FORCE:

# OpenMP stands in core/cpu only: the thread count is a property of the backend.
$(build)/core/cpu/%.o: openmp := -fopenmp
$(build)/core/%.o: core/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(openmp) $(CORE_CFLAGS) $(DEPENDENCIES) -c -o $@ $<
$(build)/core/model/builtin/%.o: core/model/builtin/%.S $(builtin_data)
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D) && $(CC) -c -o $@ $<
$(build)/tui/%.o: tui/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(TUI_CFLAGS) $(DEPENDENCIES) -c -o $@ $<

# ---- CUDA --------------------------------------------------------------------------------------------------------

.PHONY: cuda no-cuda
cuda: $(or $(module),no-cuda) ## build libcouplet-cuda.so, the CUDA module (nvcc); CUDA_ARCHITECTURES="80 90" for fewer
no-cuda:
	@echo "couplet: CUDA is left out: $(no_cuda)"

libcouplet-cuda.so: build/cuda/libcouplet-cuda.so
	$(Q)cp -f $< $@.new && mv -f $@.new $@
build/cuda/libcouplet-cuda.so: $(gpu_obj)
	$(call say,LINK,$@)
	$(Q)$(CXX) -shared -pthread -Wl,--no-undefined -Wl,--exclude-libs,ALL -o $@ $(gpu_obj) $(cudart) -ldl -lrt -lm -lpthread
build/cuda/backend.o: oldest := -DGPU_OLDEST_BUILT=$(firstword $(CUDA_ARCHITECTURES:%a=%))
build/cuda/%.o: gpu/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(BASE_CFLAGS) $(OPT) $(oldest) -fPIC -fvisibility=hidden -pthread $(CFLAGS) $(CUDA_INCLUDE) $(CUDNN_INCLUDE) $(DEPENDENCIES) -c -o $@ $<
# What ptxas tells of registers and spills is kept beside the object, for the report; only warnings are shown.
build/cuda/%.cu.o: gpu/%.cu
	$(call say,NVCC,$<)
	$(Q)mkdir -p $(@D) && { $(filter ccache,$(CC)) $(NVCC) -std=c++17 -O3 $(CUDA_CODE) --threads $(words $(cuda_codes)) $(if $(WERROR),-Werror all-warnings) -Xptxas -v \
	    -Xcompiler -fPIC,-fvisibility=hidden,-Wall -Igpu/port $(DEPENDENCIES) -c -o $@ $< 2>$(@:.o=.ptxas) || { cat $(@:.o=.ptxas) >&2; rm -f $@; false; }; }
	@grep -i warning $(@:.o=.ptxas) >&2 || true

.PHONY: gpu-report
gpu-report: $(or $(module),no-cuda) ## registers and spills of every CUDA kernel, for each architecture
	@gpu/report $(CUDA_ARCHITECTURES)
.PHONY: golden-cuda
golden-cuda: build/plain/tests/golden/golden $(or $(module),no-cuda) ## reference data on a real GPU, in f32
	@COUPLET_BACKEND_DIR=$(CURDIR) $< --device cuda --slack 4 $(GOLDEN_DIR)

# Only the entry is exported, here and there.
$(build)/tests/gpu/module/%.o: gpu/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fvisibility=hidden -Itests/gpu/port $(DEPENDENCIES) -c -o $@ $<
# It is run where it is built, so it may use what this processor has; contracted products would differ between processors.
EMULATED_OPT ?= -march=native -ffp-contract=off
EMULATED_CXX = $(CXX) -std=c++17 -Wall -Wextra -Wno-unknown-pragmas $(if $(findstring thread,$(SANITIZE)),-Wno-maybe-uninitialized) $(WERROR) $(OPT) $(EMULATED_OPT) $(SAN) -fPIC -fvisibility=hidden -pthread -Itests/gpu/port -Igpu $(DEPENDENCIES)
$(build)/tests/gpu/module/%.cu.o: gpu/%.cu
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(EMULATED_CXX) -x c++ -c -o $@ $<
$(build)/tests/gpu/%.o: tests/gpu/%.cc
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(EMULATED_CXX) -c -o $@ $<
$(emulated): $(emulated_obj)
	$(call say,LINK,$@)
	$(Q)$(CXX) -shared $(ALL_LDFLAGS) -o $@ $(emulated_obj) -lm

$(build)/tests/gpu/test_emulator: $(build)/tests/gpu/test_emulator.o $(patsubst %.cc,$(build)/%.o,$(emulator_src))
	$(call say,LINK,$@)
	$(Q)$(CXX) $(ALL_LDFLAGS) -o $@ $^ -lm

# The tests of the CPU backend's operations, on the module and in each of its precisions.
emulated_tests := test_attention test_conv test_coupled test_norm test_pointwise
emulated_bin := $(foreach p,f32 f16 bf16,$(emulated_tests:%=$(build)/tests/gpu/$(p)/%)) $(build)/tests/gpu/f16/test_products $(build)/tests/gpu/bf16/test_products $(build)/tests/gpu/host/test_fetch $(build)/tests/gpu/host/test_memory $(build)/tests/gpu/test_emulator
define on_module
$(build)/tests/gpu/$(1)/%: tests/core/cpu/%.c $(lib) $(emulated)
	$$(call say,TEST,$$< in $(1))
	$$(Q)mkdir -p $$(@D) && $$(CC) $$(ALL_CFLAGS) $$(CORE_CFLAGS) $$(DEPENDENCIES) $$(ALL_LDFLAGS) -include tests/gpu/on_module.h -DTEST_PRECISION=$(2) -o $$@ $$< $(lib) -lcmocka $$(CORE_LIBS)
endef
# The module's host side by itself: memory, streams.
$(build)/tests/gpu/host/%: tests/gpu/%.c $(lib) $(emulated)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) $(DEPENDENCIES) $(ALL_LDFLAGS) -include tests/gpu/on_module.h -o $@ $< $(lib) -lcmocka $(CORE_LIBS)
$(eval $(call on_module,f32,CPL_F32))
$(eval $(call on_module,f16,CPL_F16))
$(eval $(call on_module,bf16,CPL_BF16))
# Which way products take: by the fake libraries that the module holds, or our own.
define products_on_module
$(build)/tests/gpu/$(1)/test_products: tests/gpu/test_products.c $(lib) $(emulated)
	$$(call say,TEST,$$< in $(1))
	$$(Q)mkdir -p $$(@D) && $$(CC) $$(ALL_CFLAGS) $$(CORE_CFLAGS) $$(DEPENDENCIES) $$(ALL_LDFLAGS) -include tests/gpu/on_module.h -DTEST_PRECISION=$(2) -o $$@ $$< $(lib) -lcmocka $$(CORE_LIBS)
endef
$(eval $(call products_on_module,f16,CPL_F16))
$(eval $(call products_on_module,bf16,CPL_BF16))

# ---- On a GPU machine ---------------------------------------------------------------------------------------------

# Such machines are often bare and offline: gcc, make, CUDA and cJSON have to do. What stands on oneDNN, libpng and the terminal
# is left out; CJSON=FOLDER names a copy of cJSON (include/cjson/cJSON.h, lib/) where none is installed: `make cjson-copy` makes one.
CJSON ?= $(wildcard build/cjson)
bare_cjson := $(if $(wildcard $(CJSON)/include),$(abspath $(CJSON)))
BARE_CFLAGS = $(if $(bare_cjson),-isystem $(bare_cjson)/include,$(CORE_CFLAGS))
BARE_LIBS = $(if $(bare_cjson),-L$(bare_cjson)/lib -Wl$(comma)-rpath$(comma)$(bare_cjson)/lib) -lcjson -ldl -lm -lpthread
bare_core := $(filter-out tests/fuzz/no_backend.c core/cpu/% core/bench/% core/image/png_read.c core/image/png_text.c core/image/png_write.c core/image/mask_data.c,$(core_src))
bare_obj := $(bare_core:%.c=$(build)/%.o) $(core_asm:%.S=$(build)/%.o) $(build)/tests/device/bare/no_png.o $(build)/tests/fuzz/no_backend.o
bare_lib := $(build)/libbare.a
device_tests := $(foreach p,f32 f16 bf16,$(emulated_tests:%=$(build)/tests/device/$(p)/%))
# What make test runs of it, on the emulated device.
checked_bin := $(build)/gpu/bench/bench $(build)/tests/device/f16/test_norm $(build)/tests/device/tool $(build)/tests/device/ops $(build)/tests/device/golden $(build)/tests/device/record
device_bin := $(build)/tests/device/tool $(build)/tests/device/ops $(build)/tests/device/golden

$(bare_lib): $(bare_obj)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(bare_obj)
$(build)/tests/device/bare/%.o: tests/device/bare/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(BARE_CFLAGS) $(DEPENDENCIES) -c -o $@ $<
$(build)/tests/fuzz/no_backend.o: tests/fuzz/no_backend.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(DEPENDENCIES) -c -o $@ $<
$(build)/tests/device/tool $(build)/tests/device/ops: $(build)/%: %.c $(bare_lib)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(BARE_CFLAGS) $(DEPENDENCIES) $(ALL_LDFLAGS) -o $@ $< $(bare_lib) $(BARE_LIBS)
$(build)/tests/device/golden: $(golden_obj) $(bare_lib)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@ $(golden_obj) $(bare_lib) $(BARE_LIBS)
define on_device
$(build)/tests/device/$(1)/%: tests/core/cpu/%.c $(bare_lib)
	$$(call say,TEST,$$< on a device in $(1))
	$$(Q)mkdir -p $$(@D) && $$(CC) $$(ALL_CFLAGS) $$(BARE_CFLAGS) $$(DEPENDENCIES) $$(ALL_LDFLAGS) -Itests/device/bare -include tests/gpu/on_module.h -DTEST_PRECISION=$(2) -o $$@ $$< $(bare_lib) $$(BARE_LIBS)
endef
$(eval $(call on_device,f32,CPL_F32))
$(eval $(call on_device,f16,CPL_F16))
$(eval $(call on_device,bf16,CPL_BF16))
# What the program's own parts record for a machine that does not have them; to be made anew only when an operation's meaning changes.
$(build)/tests/device/record: tests/device/ops.c $(lib)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) $(DEPENDENCIES) $(ALL_LDFLAGS) -o $@ $< $(lib) $(CORE_LIBS)
.PHONY: golden-ops
golden-ops: $(build)/tests/device/record ## write tests/device/ops.safetensors anew, from the CPU backend in f32
	@$< --record tests/device/ops.safetensors
.PHONY: check-gpu
check-gpu: $(device_tests) $(device_bin) $(or $(module),no-cuda) ## on a GPU machine: is the CUDA backend right there? Needs gcc, make, CUDA, cJSON
	@BUILD=$(build) tests/device/check $(CHECK)
# The benchmark runs the same networks, with random weights in the place of a loader.
bench_obj := $(patsubst gpu/bench/%.c,$(build)/gpu/bench/%.o,$(wildcard gpu/bench/*.c)) $(build)/core/bench/original.o $(build)/core/bench/inputs.o
$(build)/gpu/bench/%.o: gpu/bench/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(BARE_CFLAGS) $(DEPENDENCIES) -c -o $@ $<
$(build)/gpu/bench/bench: $(bench_obj) $(bare_lib)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(bench_obj) $(bare_lib) $(BARE_LIBS)
.PHONY: bench-gpu
bench-gpu: $(build)/gpu/bench/bench $(build)/tests/device/tool $(or $(module),no-cuda) ## on a GPU machine: how fast is it, against its floor, the original's way and PyTorch?
	@BUILD=$(build) gpu/bench/run $(BENCH)

.PHONY: cjson-copy
cjson-copy: ## copy cJSON to build/cjson, to be taken to a GPU machine that has none
	@mkdir -p build/cjson/include/cjson build/cjson/lib && cp /usr/include/cjson/cJSON.h build/cjson/include/cjson/ && \
	    cp -L "$$($(CC) -print-file-name=libcjson.so)" build/cjson/lib/libcjson.so && ln -sf libcjson.so build/cjson/lib/libcjson.so.1

.PHONY: run
run: deps ## install what is missing, build, open the editor and generate (no terminal: render to a PNG)
	@$(MAKE) --no-print-directory couplet
	@if [ -t 0 ] && [ -t 1 ] && [ "$${TERM:-dumb}" != dumb ]; then \
	    ./couplet --generate layouts/harbour.json; \
	else \
	    mkdir -p build && ./couplet render layouts/harbour.json -o build/harbour.png; \
	fi

# ---- Tests -------------------------------------------------------------------------------------------------------

# A test of tui links everything of the program but its main.
$(build)/tests/tui/%: tests/tui/%.c $(tui_parts) $(lib)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(TUI_CFLAGS) $(DEPENDENCIES) $(ALL_LDFLAGS) -o $@ $< $(tui_parts) $(lib) -lcmocka -lutil $(TUI_LIBS) $(CORE_LIBS)
fuzz_eaters := $(wildcard tests/fuzz/fuzz_*.c)
$(build)/tests/fuzz/test_%: tests/fuzz/test_%.c $(fuzz_eaters) tests/fuzz/fuzz.h $(lib)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(fuzz_eaters) $(lib) -lcmocka $(CORE_LIBS)
$(build)/tests/core/%: tests/core/%.c $(lib)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) $(DEPENDENCIES) $(ALL_LDFLAGS) -o $@ $< $(lib) -lcmocka $(CORE_LIBS)
$(helper_bin): $(build)/%: %.c $(lib)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) $(DEPENDENCIES) $(ALL_LDFLAGS) -o $@ $< $(lib) -lutil $(CORE_LIBS)
$(program_used): tests/e2e/used.c $(tui_obj) $(lib)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(TUI_CFLAGS) $(ALL_LDFLAGS) -Wl,--wrap=keys_find,--wrap=editor_command -o $@ $< $(tui_obj) $(lib) $(TUI_LIBS) $(CORE_LIBS)
$(build)/tests/golden/%.o: tests/golden/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) $(DEPENDENCIES) -c -o $@ $<
$(build)/tests/golden/golden: $(golden_obj) $(lib)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(golden_obj) $(lib) $(CORE_LIBS)

.PHONY: test
test: deps-test ## all tests that need no GPU; SANITIZE=address,undefined or SANITIZE=thread for those builds
	@$(MAKE) --no-print-directory tested

.PHONY: tested
tested: $(program) $(test_bin) $(build)/tests/golden/golden $(helper_bin) $(if $(findstring thread,$(SANITIZE)),,$(emulated_bin)) \
    $(if $(SANITIZE),,couplet $(program_used) $(checked_bin) $(or $(module),no-cuda))
	@SANITIZE='$(SANITIZE)' BUILD=$(build) tests/run $(test_bin)

.PHONY: unit
unit_bin := $(if $(UNIT),$(UNIT:%=$(build)/tests/%),$(test_bin))
unit: $(unit_bin) ## unit tests only; UNIT='core/cpu/test_conv ...' for some of them
	@SANITIZE='$(SANITIZE)' BUILD=$(build) tests/run --unit $(unit_bin)
.PHONY: gpu
gpu: $(emulated_bin) $(if $(filter memory thread,$(SANITIZE)),,$(build)/tests/golden/golden) ## the CUDA backend's own sources, on an emulated device; SANITIZE=address,undefined, memory or thread too
	@SANITIZE='$(SANITIZE)' BUILD=$(build) tests/run --gpu
.PHONY: gpu-mutants
gpu-mutants: $(emulated_bin) ## plant mistakes in the CUDA kernels, one by one: a test must fail for each; SANITIZE=... as for gpu
	@SANITIZE='$(SANITIZE)' BUILD=$(build) EMULATED_CXX='$(EMULATED_CXX)' LINK='$(CXX) -shared $(ALL_LDFLAGS)' OBJECTS='$(emulated_obj)' tests/gpu/mutants $(MUTANTS)
.PHONY: golden
golden: $(build)/tests/golden/golden ## reference data; GOLDEN_DIR=DIR for another set of the same format
	@$< $(GOLDEN_DIR)
# What is too large to keep: CLIP's vocabulary is fetched, the checkpoint is made. Both stay in build/golden-full.
full := build/golden-full
.PHONY: golden-full
golden-full: deps-full $(build)/tests/golden/golden ## ... with nothing skipped: fetches CLIP's vocabulary, makes 2.1 GB of random weights
	@test -f $(full)/clip/vocab.json || { mkdir -p $(full) && core/model/clip-vocab $(full)/clip; }
	@mkdir -p $(full) && tests/golden/make-sd15-random $(full)/sd15-random.safetensors
	@COUPLET_CLIP_VOCAB=$(full)/clip COUPLET_SD15_RANDOM=$(full)/sd15-random.safetensors \
	    $(build)/tests/golden/golden --whole $(GOLDEN_DIR)
.PHONY: cli
cli: $(program) $(helper_bin) $(if $(findstring thread,$(SANITIZE)),,$(emulated)) $(if $(SANITIZE),,$(checked_bin)) ## the commands, run as a user would
	@BUILD=$(build) tests/run --cli
.PHONY: e2e
e2e: $(program) $(program_used) $(helper_bin) ## the editor in real terminals (tmux, xterm under Xvfb)
	@BUILD=$(build) tests/run --e2e
.PHONY: golden-screens
golden-screens: $(program) $(program_used) $(helper_bin) ## write the golden screens of the key scripts anew: read the diff
	@BUILD=$(build) GOLDEN_UPDATE=1 tests/e2e/test_scripts.sh
.PHONY: shots
shots: $(program) $(helper_bin) ## take the README's pictures anew (man/*.png, man/shots); SHOTS='light gallery' for some
	@BUILD=$(build) tests/e2e/make-shots $(SHOTS)
KILLS ?= 200
.PHONY: kill
kill: $(program) ## SIGKILL the editor at KILLS=200 random moments of editing and saving: what is lost, and is every file whole?
	@BUILD=$(build) KILLS=$(KILLS) BOUND_MS=1000 tests/e2e/test_kill.sh
.PHONY: bench
bench: couplet ## measure this machine and what couplet makes of it; BENCH='--quick', '--json', '--model FILE'
	@./couplet bench $(BENCH)
# A recipe of its own: neither the program nor its tests need it. See core/model/builtin/train/README.md.
TRAIN := core/model/builtin/train/recipe.py
TRAIN_CONFIG ?= cpu
TRAIN_PYTHON ?= /usr/bin/python3
.PHONY: bench-model train-model
bench-model: deps-model couplet ## judge what the built-in model draws, coupled and with one joined prompt; BENCH='--model FILE', '--cases N'
	@$(TRAIN_PYTHON) $(TRAIN) bench $(TRAIN_CONFIG) --model core/model/builtin/builtin.safetensors $(BENCH)
train-model: deps-model couplet ## make the built-in model from nothing: hours; TRAIN_CONFIG=cpu, cuda or smoke
	@$(TRAIN_PYTHON) $(TRAIN) all $(TRAIN_CONFIG)
.PHONY: fuzz-editor
fuzz-editor: ## random keys, mouse events, replies and resizes for the editor, under sanitizers; FUZZ_SECONDS=600 in all
	@$(MAKE) --no-print-directory SANITIZE=address,undefined build/address-undefined/tests/tui/test_fuzz
	@ASAN_OPTIONS=allocator_may_return_null=1 LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0 \
	    build/address-undefined/tests/tui/test_fuzz $(or $(FUZZ_SECONDS),600)
# libFuzzer finds its own way: a build of its own with clang, without the CPU backend, which no target has use for. What it
# collects stays in build/fuzz/corpus, what it breaks is written to build/fuzz and belongs among the seeds once it is mended.
fuzz_targets := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz_parts := $(patsubst %.c,build/fuzz/%.o,$(filter-out core/cpu/% core/bench/%,$(core_src)) tests/fuzz/no_backend.c) $(core_asm:%.S=build/fuzz/%.o)
FUZZ_FLAGS := -DLIBFUZZER -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
build/fuzz/%.o: %.c
	$(call say,FUZZ,$<)
	$(Q)mkdir -p $(@D) && clang $(BASE_CFLAGS) -O1 -g -fPIC $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link $(CORE_CFLAGS) $(DEPENDENCIES) -c -o $@ $<
build/fuzz/%.o: %.S $(builtin_data)
	$(Q)mkdir -p $(@D) && clang -c -o $@ $<
build/fuzz/libparts.a: $(fuzz_parts)
	$(Q)rm -f $@ && $(AR) rcs $@ $(fuzz_parts)
build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o build/fuzz/libparts.a
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer -pthread -o $@ $^ $(filter-out -ldnnl -fopenmp,$(CORE_LIBS))
.PRECIOUS: build/fuzz/%.o

.PHONY: fuzz
fuzz: deps-fuzz ## let libFuzzer (clang) loose on what reads files; FUZZ_SECONDS=60 for each target
	@$(MAKE) --no-print-directory fuzzed
.PHONY: fuzzed
fuzzed: $(fuzz_targets:%=build/fuzz/fuzz_%)
	@for target in $(fuzz_targets); do \
	    mkdir -p build/fuzz/corpus/$$target; \
	    build/fuzz/fuzz_$$target -max_total_time=$(or $(FUZZ_SECONDS),60) -timeout=20 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 \
	        -artifact_prefix=build/fuzz/$$target- build/fuzz/corpus/$$target tests/fuzz/seeds/$$target || exit 1; \
	done
.PHONY: mutants
mutants: ## plant known mistakes in a copy, one by one: each must make its golden group fail
	@tests/mutants

.PHONY: lint
lint: deps-lint ## clang-format, clang -Werror, clang-tidy, cppcheck, mandoc, shellcheck
	@$(MAKE) --no-print-directory linted
.PHONY: linted
linted:
	@tests/lint '$(BASE_CFLAGS) -Werror -pthread $(CORE_CFLAGS) $(TUI_CFLAGS)' '$(TUI_LIBS) $(CORE_LIBS)'

# ---- House-keeping -----------------------------------------------------------------------------------------------

.PHONY: deps deps-test deps-full deps-model deps-lint deps-fuzz
deps: ## install what a build needs (apt; sudo where needed)
	@tests/packages $(PACKAGES_BUILD)
deps-test: ## ... and what the tests need
	@tests/packages $(PACKAGES_BUILD) $(PACKAGES_TEST)
deps-full: ## ... and what golden-full needs
	@tests/packages $(PACKAGES_BUILD) $(PACKAGES_FULL)
deps-model: ## ... and what training and judging the built-in model needs
	@tests/packages $(PACKAGES_BUILD) $(PACKAGES_MODEL)
deps-fuzz:
	@tests/packages $(PACKAGES_BUILD) $(PACKAGES_FUZZ)
deps-lint: ## ... and what the linters are
	@tests/packages $(PACKAGES_BUILD) $(PACKAGES_TEST) $(PACKAGES_LINT)

layout_files := $(wildcard layouts/*.json layouts/*.png)
.PHONY: install uninstall
install: couplet $(module) ## install program, layouts and manual pages under PREFIX (DESTDIR is honoured)
	install -D -m 755 couplet '$(DESTDIR)$(PREFIX)/bin/couplet'
	$(if $(wildcard libcouplet-cuda.so),install -D -m 755 libcouplet-cuda.so '$(DESTDIR)$(PREFIX)/lib/couplet/libcouplet-cuda.so')
	install -d '$(DESTDIR)$(PREFIX)/share/couplet/layouts'
	install -m 644 $(layout_files) '$(DESTDIR)$(PREFIX)/share/couplet/layouts'
	install -D -m 644 man/couplet.1 '$(DESTDIR)$(PREFIX)/share/man/man1/couplet.1'
	install -D -m 644 man/couplet-layout.5 '$(DESTDIR)$(PREFIX)/share/man/man5/couplet-layout.5'
	install -D -m 644 man/couplet-workflows.7 '$(DESTDIR)$(PREFIX)/share/man/man7/couplet-workflows.7'
uninstall: ## remove them again
	rm -f '$(DESTDIR)$(PREFIX)/bin/couplet' '$(DESTDIR)$(PREFIX)/share/man/man1/couplet.1' '$(DESTDIR)$(PREFIX)/share/man/man5/couplet-layout.5' \
	    '$(DESTDIR)$(PREFIX)/share/man/man7/couplet-workflows.7'
	rm -rf '$(DESTDIR)$(PREFIX)/share/couplet' '$(DESTDIR)$(PREFIX)/lib/couplet'
.PHONY: clip-vocab
clip-vocab: ## fetch CLIP's vocabulary (npm), which SD 1.x and SDXL checkpoints need and do not bring
	@core/model/clip-vocab
.PHONY: man
man: ## show the manual page
	@man ./man/couplet.1
.PHONY: man-tables
man-tables: $(build)/tests/tui/test_man ## write keys and commands of the editor into the manual page anew
	@for part in keys commands; do \
	    $< --$$part > build/$$part.man && sed -i -e "/^\.\\\\\" $$part: begin/,/^\.\\\\\" $$part: end/{/: end/r build/$$part.man" -e 'd}' man/couplet.1 && rm build/$$part.man; \
	done
.PHONY: format
format: ## clang-format all sources in place
	clang-format -i $(wildcard core/*.[ch] core/*/*.[ch] tui/*.[ch] tests/*.h tests/*/*.[ch] tests/core/*/*.[ch] gpu/*.[ch] gpu/*.cu gpu/*.cuh gpu/bench/*.[ch] gpu/port/*.h tests/device/*.c tests/device/bare/*.[ch] tests/gpu/*.cc tests/gpu/port/*.h)
.PHONY: clean
clean: ## remove everything that was built
	rm -rf build couplet libcouplet.a libcouplet-cuda.so
.PHONY: help
help: ## this list
	@echo 'couplet: regional prompting in the terminal. Two commands do all the set-up: make run, make test.'
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

# Objects of another compiler or of other flags are made anew. But what is installed is what was built, whoever installs it: root
# seldom has the variables of the user.
flags := $(strip $(filter-out ccache,$(CC)) $(CXX) $(OPT) $(SAN) $(CFLAGS) $(LDFLAGS))
cuda_flags := $(strip $(flags) $(NVCC) $(CUDA_CODE))
joined = x$(subst $(space),-,$(1))
changed = $(if $(or $(filter install,$(MAKECMDGOALS)),$(filter $(call joined,$(2)),$(call joined,$(file <$(1))))),,FORCE)
note = @mkdir -p $(@D) && printf '%s\n' '$(subst ','\'',$(1))' >$@
$(build)/flags: $(call changed,$(build)/flags,$(flags))
	$(call note,$(flags))
build/cuda/flags: $(call changed,build/cuda/flags,$(cuda_flags))
	$(call note,$(cuda_flags))
$(core_obj) $(tui_obj) $(golden_obj) $(emulated_obj) $(bare_obj) $(bench_obj): $(build)/flags
$(gpu_obj): build/cuda/flags

-include $(bench_obj:.o=.d) $(bare_obj:.o=.d) $(device_tests:=.d) $(device_bin:=.d)
-include $(gpu_obj:.o=.d) $(emulated_obj:.o=.d) $(emulated_bin:=.d) $(build)/tests/gpu/test_emulator.d
-include $(fuzz_parts:.o=.d) $(fuzz_targets:%=build/fuzz/tests/fuzz/fuzz_%.d)
-include $(core_obj:.o=.d) $(tui_obj:.o=.d) $(test_bin:=.d) $(golden_obj:.o=.d) $(helper_bin:=.d)
