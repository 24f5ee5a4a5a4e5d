# couplet: `make help` lists what can be done.
#
# Objects live in build/<kind>/, so that a sanitizer build and a plain one never mix. V=1 shows the commands.

PREFIX ?= /usr/local
SANITIZE ?=
CC ?= cc
OPT ?= -O2 -g
kind := $(if $(SANITIZE),$(subst $(comma),-,$(SANITIZE)),plain)
comma := ,
build := build/$(subst $(comma),-,$(or $(SANITIZE),plain))

# Debian calls oneDNN's library dnnl; it has no pkg-config file everywhere.
PKG_CORE := libcjson libpng
PKG_TUI := ncursesw libsixel
CORE_CFLAGS = $(shell pkg-config --cflags $(PKG_CORE) 2>/dev/null)
CORE_LIBS = $(shell pkg-config --libs $(PKG_CORE) 2>/dev/null || echo -lcjson -lpng) -ldnnl -lgomp -lm -lpthread
TUI_CFLAGS = $(shell pkg-config --cflags $(PKG_TUI) 2>/dev/null)
TUI_LIBS = $(shell pkg-config --libs $(PKG_TUI) 2>/dev/null || echo -lncursesw -ltinfo -lsixel)

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wformat=2
WERROR ?= $(if $(CI),-Werror)
SAN := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer $(if $(findstring undefined,$(SANITIZE)),-fno-sanitize-recover=undefined))
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(OPT) $(WARNINGS) $(WERROR) $(SAN) -fPIC -pthread $(CFLAGS) -MMD -MP
ALL_LDFLAGS = $(SAN) -pthread $(LDFLAGS)

core_src := $(wildcard core/*.c core/*/*.c)
core_asm := $(wildcard core/model/builtin/*.S)
tui_src := $(wildcard tui/*.c)
core_obj := $(core_src:%.c=$(build)/%.o) $(core_asm:%.S=$(build)/%.o)
tui_obj := $(tui_src:%.c=$(build)/%.o)
test_src := $(wildcard tests/core/*/test_*.c tests/core/test_*.c tests/tui/test_*.c)
test_bin := $(test_src:%.c=$(build)/%)
golden_src := $(wildcard tests/golden/*.c)
lib := $(build)/libcouplet.a
program := $(build)/couplet

Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-7s %s\n' $(1) '$(2)')

.PHONY: all
all: couplet libcouplet.a

couplet: $(program)
	$(Q)cp -f $< $@
libcouplet.a: $(lib)
	$(Q)cp -f $< $@

$(program): $(tui_obj) $(lib)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(tui_obj) $(lib) $(TUI_LIBS) $(CORE_LIBS) -ldl
$(lib): $(core_obj)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $(core_obj)

# OpenMP stands in core/cpu only: the thread count is a property of the backend.
$(build)/core/cpu/%.o: omp := -fopenmp
$(build)/core/%.o: core/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(omp) $(CORE_CFLAGS) -c -o $@ $<
$(build)/core/model/builtin/%.o: core/model/builtin/%.S $(wildcard core/model/builtin/*.safetensors core/model/builtin/*.json core/model/builtin/*.txt)
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D) && $(CC) -c -o $@ $<
$(build)/tui/%.o: tui/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(TUI_CFLAGS) -c -o $@ $<

# A test of tui links everything of the program but its main.
$(build)/tests/tui/%: tests/tui/%.c $(tui_obj) $(lib)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(TUI_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(filter-out $(build)/tui/main.o,$(tui_obj)) $(lib) -lcmocka $(TUI_LIBS) $(CORE_LIBS) -ldl
$(build)/tests/core/%: tests/core/%.c $(lib)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(lib) -lcmocka $(CORE_LIBS) -ldl
$(build)/tests/golden/golden: $(golden_src) $(lib) tests/golden/golden.h
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(filter-out -MMD -MP,$(ALL_CFLAGS)) $(CORE_CFLAGS) $(ALL_LDFLAGS) -o $@ $(golden_src) $(lib) $(CORE_LIBS) -ldl

GOLDEN_DIR ?= tests/golden
.PHONY: golden
golden: $(build)/tests/golden/golden
	$(Q)$< $(GOLDEN_DIR)

.PHONY: unit
unit: $(test_bin)
	$(Q)for t in $(test_bin); do echo "$$t"; $$t || exit 1; done

.PHONY: clean
clean:
	rm -rf build couplet libcouplet.a

-include $(core_obj:.o=.d) $(tui_obj:.o=.d) $(test_bin:=.d)
