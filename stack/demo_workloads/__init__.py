"""What the demo's tenants run: small WASM modules and a small model, with the right answers."""
