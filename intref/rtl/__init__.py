"""RTL units as devices: their description, their calls as beats on wires, testbenches, simulators, cocotb."""
