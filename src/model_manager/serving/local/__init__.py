"""The platform of one machine: runs a rendered InferenceService as a child process. Decides nothing about models.

`platform` is the port's adapter · `owner` the one task that owns what runs under a slot's name · `plan` what its
starts have in common · `process` one start and everything it forked · `launcher` the few lines between our fork and
the model server · `health` its probes · `log_pipe`, `log_ring`, `log_file` its output · `leftovers` what a killed
service left behind · `procfs`, `ports` what the system says.
"""
