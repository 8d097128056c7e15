"""A private local stack: PostgreSQL, RabbitMQ and the services, supervised by one process."""
