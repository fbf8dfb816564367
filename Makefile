# Each target is one script. `make demo STAGING=minio TARGET=mysql` for the other ways of the demo.
STAGING ?= local
TARGET ?= tidb

.PHONY: demo test lint bench soak clean

demo:
	@STAGING=$(STAGING) TARGET=$(TARGET) infra/local/demo

test:
	@tests/run

lint:
	@tests/lint

bench:
	@tests/bench/run

soak:
	@tests/soak

clean:
	@infra/local/clean
