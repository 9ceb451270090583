"""The OpenAI-compatible front of the slots. Bytes pass as they come; nothing here starts or stops a model."""
