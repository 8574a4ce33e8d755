"""Seeded worlds and trace readers that judge the market and the allocator."""
