"""The pure core of the market: words, orders, rounds, clearing, prices, payments, lifecycles."""
