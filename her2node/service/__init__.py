"""The only place where concrete parts are joined: settings become ledgers, spools, receivers, workers, couriers.

It holds no judgement of its own: what decides stands in the rooms below.
"""
