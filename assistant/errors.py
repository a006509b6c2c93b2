"""The errors that a person may see. Their text is written for that person; a stack trace goes to the log alone.

FielError
├── SettingsError         a setting is wrong; the text lists every problem at once
├── BusyError             another process owns the state folder, or the program is at its limit for now
│   └── LeaseLostError    a run is another process's by now: whoever held it must stop
├── NotFoundError         no such thing, or not yours: the two are never told apart
├── NotAllowedError       known, but not permitted to you
├── TooOftenError         permitted, but not that often
├── InputError            what was sent cannot be used as it is
├── RunCancelledError     a run ends because somebody asked for it
├── DocumentError         a file cannot be read; the text says why and what to do
└── EngineError           the language model failed
    ├── ModelError        a model or an adapter cannot be loaded
    ├── EngineLostError   the model's process ended or cannot be reached; it is being waited for
    └── ContextError      the request is longer than the model's window
"""


class FielError(Exception):
    """Base of all errors with a text for people."""


class SettingsError(FielError):
    pass


class BusyError(FielError):
    pass


class LeaseLostError(BusyError):
    pass


class NotFoundError(FielError):
    pass


class NotAllowedError(FielError):
    pass


class TooOftenError(FielError):
    pass


class InputError(FielError):
    pass


class RunCancelledError(FielError):
    pass


class DocumentError(FielError):
    pass


class EngineError(FielError):
    pass


class ModelError(EngineError):
    pass


class EngineLostError(EngineError):
    pass


class ContextError(EngineError):
    pass
