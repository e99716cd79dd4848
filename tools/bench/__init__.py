"""`make bench`: how fast a gateway is, measured against the load tool's own ceiling, a row for each goal.

    python -m tools.bench                    every row, five rounds; writes a section of docs/performance.md
    python -m tools.bench --quick            one small round, under two minutes; writes nothing
    python -m tools.bench --rows sms,cpu     some rows

A *scene* is something that is set up and measured (scenes.py and its neighbours); a *round* is each scene once; a *row*
of the table is a figure made of one or two scenes of the same round (rows.py), so that what is compared was measured
within minutes. What a row says is the median over the rounds.
"""
