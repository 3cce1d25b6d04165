"""Run every benchmark: `make bench`, or `python -m benchmarks`."""

from benchmarks import evaluation_speed, upload_throughput


def main() -> None:
    """Print each benchmark's table."""
    upload_throughput.main()
    evaluation_speed.main()


if __name__ == "__main__":
    main()
