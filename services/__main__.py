"""``python -m services`` is the ``khabar`` command; the supervisor starts its child processes this way."""

from services.cli import main

main()
