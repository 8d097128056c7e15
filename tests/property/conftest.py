"""One profile for every property; `--hypothesis-profile thorough` looks longer."""

from hypothesis import settings

settings.register_profile("gongji", deadline=None, max_examples=400, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=5_000, print_blob=True)
settings.load_profile("gongji")
