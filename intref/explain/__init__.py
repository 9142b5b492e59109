"""Why a device's outputs differ: the rule that gives all of them, the stage at which it goes wrong, exact ties."""
