"""HOW: compiles a config and facts about the host into the plan. Pure: no file, no system call."""
