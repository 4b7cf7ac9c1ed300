"""A seeded, realistic day played into a running system: customers, a simulated network, two agents who collide."""
