"""Where ``load_settings`` was until 0.3.0; ``settings.deprecations`` says how long it still answers."""

from cltv_assets.settings.deprecations import moved

__getattr__ = moved(__name__)
