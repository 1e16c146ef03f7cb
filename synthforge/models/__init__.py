"""Networks, losses and stored models: Batch -> Prediction; nothing here knows a file layout."""
