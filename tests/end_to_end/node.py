"""The gateway as a process, by the name the tests know."""

from tools.gateway_process import CHECKOUT, STOP_S, GatewayProcess, free_port, store_pid

__all__ = ["CHECKOUT", "STOP_S", "GatewayProcess", "free_port", "store_pid"]
