"""deploy/kubernetes: its values, what the chart makes of them, its manifests, and the pods of runs."""
