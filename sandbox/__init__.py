"""A local Instagram Graph API for people without a Meta app, for tests and for benchmarks."""

from sandbox.faults import Fault
from sandbox.limits import Throttle, Usage
from sandbox.scenario import Scenario
from sandbox.server import Sandbox
from sandbox.world import Options, World

__all__ = ["Fault", "Options", "Sandbox", "Scenario", "Throttle", "Usage", "World"]
