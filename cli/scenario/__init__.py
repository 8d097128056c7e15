"""A scenario: people, money, bindings and steps from a file, played against a running stack and checked as they go."""
