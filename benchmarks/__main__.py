"""Run every benchmark: `make bench`, or `python -m benchmarks`."""

from benchmarks import embedding_speed, evaluation_speed, loader_speed, training_step, upload_throughput


def main() -> None:
    """Print each benchmark's table."""
    embedding_speed.main()
    upload_throughput.main()
    evaluation_speed.main()
    training_step.main()
    loader_speed.main()


if __name__ == "__main__":
    main()
