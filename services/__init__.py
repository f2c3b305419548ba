"""What every room shares and what runs them: settings, events, topics, stores, the ``khabar`` command."""
