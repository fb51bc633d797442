"""The links of the boot chain: what the parts of an image say of how the device starts."""
