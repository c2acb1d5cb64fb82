# A thin face over meson. `make demo` and `make check` are all that a newcomer needs.
BUILD := build
DEMO := $(BUILD)/demo
export LC_ALL := C.UTF-8

.PHONY: all ablation demo demo-all demo-llm soak-sim soak-transport check check-llm check-stream check-web pictures bench fuzz asan tsan clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet
	@echo "Built $(BUILD)/truespan"

$(BUILD)/build.ninja: | need-build
	@echo "Configuring $(BUILD)"
	@meson setup $(BUILD) >/dev/null || { cat $(BUILD)/meson-logs/meson-log.txt; exit 2; }

.PHONY: need-build need-check
need-build:
	@sh tools/need.sh build
need-check:
	@sh tools/need.sh check

# Exit code 1 means "violations found", which is what the experiment is for.
demo: all
	@rm -rf $(DEMO)
	@echo "The paper's experiment: five nodes, a real model, ZeroMQ, clock skew at one stage. About three and a half minutes."
	@$(BUILD)/truespan lab -o $(DEMO) || [ $$? = 1 ]
	@echo
	@echo "The report is $(DEMO)/report.html, the traces are $(DEMO)/*/otlp. Three commands to try next:"
	@echo "  $(BUILD)/truespan check $(DEMO)/zmq-5ms/otlp"
	@echo "  $(BUILD)/truespan clocks --why inference-0 $(DEMO)/zmq-5ms/otlp"
	@echo "  $(BUILD)/truespan fix $(DEMO)/zmq-5ms/otlp/*.jsonl -o $(DEMO)/zmq-5ms-fixed"

# The same over ZeroMQ, Apache Kafka and Aeron, in one table: a real broker and real media drivers, fetched first.
demo-all: all
	@sh tools/need.sh all
	@bash tools/parts/kafka.sh
	@bash tools/parts/aeron.sh
	@meson setup --reconfigure $(BUILD) >/dev/null
	@ninja -C $(BUILD) --quiet
	@rm -rf $(DEMO)-all
	@echo "The experiment over ZeroMQ, Apache Kafka and Aeron. About eleven minutes."
	@$(BUILD)/truespan lab --transport all -o $(DEMO)-all || [ $$? = 1 ]

# The same on a language model that people use: llama.cpp and SmolLM2-135M are fetched and built first.
demo-llm: all
	@bash tools/parts/llama.sh
	@bash tools/parts/smollm2.sh
	@meson setup --reconfigure $(BUILD) >/dev/null
	@ninja -C $(BUILD) --quiet
	@rm -rf $(DEMO)-llm
	@echo "The experiment on SmolLM2-135M-Instruct through llama.cpp. About four minutes."
	@$(BUILD)/truespan lab docs/examples/smollm2.yaml -o $(DEMO)-llm || [ $$? = 1 ]

# What cannot be fetched is a loud skip in its tests, not the end of all others.
.PHONY: parts-or-skip
parts-or-skip: need-check all
	@bash tools/parts/kafka.sh || echo "make check: no Apache Kafka here: its tests will be skipped" >&2
	@bash tools/parts/aeron.sh || echo "make check: no Aeron here: its tests will be skipped" >&2
	@bash tools/parts/browser.sh || echo "make check: no Chromium here: the tests of the page will be skipped" >&2
	@bash tools/parts/perfetto.sh || echo "make check: no Perfetto here: its test of the tracks will be skipped" >&2
	@meson setup --reconfigure $(BUILD) >/dev/null

# CHECK_PATIENCE: by how much a test may take longer than it should before it is ended; more on a slow machine.
CHECK_PATIENCE ?= 1
check: parts-or-skip
	@ninja -C $(BUILD) --quiet
	@failed=0; meson test -C $(BUILD) --no-rebuild --print-errorlogs --timeout-multiplier $(CHECK_PATIENCE) || failed=$$?; \
	python3 tools/count_tests.py $(BUILD)/meson-logs/testlog.junit.xml && exit $$failed

# The tests that want llama.cpp, SmolLM2 and a real llama-server, which are fetched and built first (a quarter of an hour).
check-llm: need-check all
	@bash tools/parts/llama.sh
	@bash tools/parts/smollm2.sh
	@bash tools/parts/llama_server.sh
	@meson setup --reconfigure $(BUILD) >/dev/null
	@ninja -C $(BUILD) --quiet
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs llama openai_server

# 2 GB of spans through a pipe in 500 MB of address space, in JSON and in protobuf. About five minutes.
check-stream: need-check all
	@python3 tests/integration/check_stream.py $(BUILD)/truespan 2000

# Only what looks at the page of truespan report, in a real Chromium.
check-web: need-check all
	@bash tools/parts/browser.sh
	@bash tools/parts/perfetto.sh
	@ninja -C $(BUILD) --quiet
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs report report_page report_tracks

# The pictures of docs/, drawn anew from runs and traces that are made anew.
pictures: all
	@bash tools/parts/browser.sh
	@sh tests/browser/run.sh .parts tests/browser/pictures.mjs $(abspath $(BUILD)/truespan) $(CURDIR)

bench: all
	@meson test -C $(BUILD) --benchmark --verbose

# What each of the solver's constants buys (docs/ablation.md): the solver built and run some 240 times, a quarter of an hour.
# A run that was stopped goes on where it was.
ablation: need-build
	@mkdir -p $(BUILD)
	@nice -n 19 python3 tests/bench/ablation.py . --keep $(BUILD)/ablation -o $(BUILD)/ablation.md
	@echo "$(BUILD)/ablation.md"

# SOAK_SEEDS seeds of every simulated shape of trace, each held against the truth: an hour and a half of one core. Then
# whole runs: each topology, and clocks of all kinds. All of them say how far they are, and end with what was found. What
# was stopped among the shapes goes on where it was.
SOAK_SEEDS ?= 3000
SOAK_TOPOLOGIES ?= 100
SOAK_RUNS ?= 500
soak-sim: need-check all
	@rc=0; \
	nice -n 19 $(BUILD)/tests/sim/soak_solve --seeds $(SOAK_SEEDS) --keep $(BUILD)/soak-solve.rows || rc=1; \
	nice -n 19 python3 tests/integration/sim_topology.py $(BUILD)/truespan $(SOAK_TOPOLOGIES) || rc=1; \
	nice -n 19 python3 tests/integration/sim.py $(BUILD)/truespan $(SOAK_RUNS) || rc=1; \
	exit $$rc

# Twenty times as many senders that come and go as the ordinary tests have, over every transport. About four minutes.
soak-transport: parts-or-skip
	@ninja -C $(BUILD) --quiet
	@nice meson test -C $(BUILD) --no-rebuild --benchmark --print-errorlogs soak-transport

asan: need-check
	@[ -f build-asan/build.ninja ] || meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@ninja -C build-asan --quiet
	@meson test -C build-asan --no-rebuild --print-errorlogs --timeout-multiplier 4

# What has threads beside it (the clients of the transports, the simulator's writer) under clang's ThreadSanitizer. Two
# minutes and the build; tests/tsan says what is left out of sight.
TSAN_TESTS := test_zmq test_aeron test_kafka test_fault
tsan: export TSAN_OPTIONS := suppressions=$(CURDIR)/tests/tsan/suppressions.txt
tsan: parts-or-skip
	@sh tools/need.sh fuzz
	@[ -f build-tsan/build.ninja ] || CC=clang meson setup build-tsan -Db_sanitize=thread -Db_lundef=false \
	  -Dllama=disabled >/dev/null
	@ninja -C build-tsan --quiet truespan tests/unit/test_transport $(TSAN_TESTS:%=tests/unit/%)
	@set -e; for name in $(TSAN_TESTS) "test_transport lent" "test_transport byte_for_byte"; do echo "$$name"; \
	  build-tsan/tests/unit/$$name; done
	@echo "truespan sim"; build-tsan/truespan sim --quick --sweep 0ms,5ms --duration 10s -o build-tsan/sim >/dev/null || \
	  [ $$? = 1 ]; rm -rf build-tsan/sim

# Every fuzz target for FUZZ_SECONDS, one after the other; what it finds stays in build-fuzz/corpus.
FUZZ_SECONDS ?= 1800
fuzz:
	@sh tools/need.sh fuzz
	@[ -f build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined \
	  -Db_lundef=false -Dllama=disabled >/dev/null
	@ninja -C build-fuzz --quiet
	@set -e; for target in tests/fuzz/corpus/*; do name=$${target##*/}; mkdir -p build-fuzz/corpus/$$name; \
	  echo "Fuzzing $$name for $(FUZZ_SECONDS) s"; \
	  build-fuzz/tests/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -rss_limit_mb=4096 \
	    build-fuzz/corpus/$$name $$target 2>&1 | tail -1; done

clean:
	@rm -rf $(BUILD) build-*
