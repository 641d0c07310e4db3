"""Several workers as one: processes that are started afresh, kept running, stopped together and added up.

::

    pulpo run --processes 3            the supervisor: imports no application, receives nothing
      ├── worker 1   a fresh interpreter with the same command line; see `leash` for what ties it to the supervisor
      ├── worker 2
      └── worker 3

========== =====================================================================
module     holds
========== =====================================================================
`crew`     the supervisor: starts, restarts and stops workers
`worker`   one worker as the supervisor sees it
`verdict`  what is done when a worker has ended: a pure function
`account`  what workers have reported, added up
`leash`    the other end of it, in the worker
`child`    where a worker's process begins
`changes`  files that change, for ``--reload``
========== =====================================================================
"""
