"""The dashboard: a process of its own that looks at the system once a second, and shows it to Prometheus and to people.

It decides nothing and keeps nothing that the system needs: it may die at any time, and the controller starts it anew.
What is seen becomes numbers in `observe`; here is who asks, who remembers and who answers.
"""
