from tests.delivery.conftest import clock, drafts, make_outbox, publish  # noqa: F401  (fixtures)
