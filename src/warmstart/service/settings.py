"""Settings: what a service serves; options before the environment (WARMSTART_STORE, ...) before
warmstart.toml.
"""

from pathlib import Path

from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class Settings(BaseSettings):
    """What a service needs to know."""

    model_config = SettingsConfigDict(
        env_prefix="WARMSTART_", toml_file="warmstart.toml", extra="ignore"
    )

    models: Path = Path("model")
    store: str = "sqlite:///warmstart.db"
    keys: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    refit: str | None = None
    """How often a new version is fitted, as 24h; None for never."""
    refit_budget: str = "10m"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
