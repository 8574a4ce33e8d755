"""The API's endpoints as methods, one class a plural noun."""
