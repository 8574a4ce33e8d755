"""The whole platform on one machine: servers, processes and the command line that runs them."""
