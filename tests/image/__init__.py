"""The image, built and run for real: `make test-image`. No test here may run with `make test`."""
