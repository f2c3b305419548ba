"""``python -m services`` is the ``khabar`` command; the supervisor starts its children so."""

from services.cli import main

main()
