"""Run every benchmark: `make bench`, or `python -m benchmarks`."""

from benchmarks import upload_throughput


def main() -> None:
    """Print each benchmark's table."""
    upload_throughput.main()


if __name__ == "__main__":
    main()
