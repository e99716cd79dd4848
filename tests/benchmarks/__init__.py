"""What single stages cost: `make microbench` times them, tests/gateway/test_calls_per_message.py counts their calls."""
