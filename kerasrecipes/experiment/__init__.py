from kerasrecipes.experiment.cook import cook
from kerasrecipes.experiment.report import Claim, Report
from kerasrecipes.experiment.trials import Trials, run_trials
from kerasrecipes.options import Count

__all__ = ["Claim", "Count", "Report", "Trials", "cook", "run_trials"]
