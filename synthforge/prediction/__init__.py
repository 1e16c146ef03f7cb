"""A trained model on a user's own photographs and videos: files in, labels in their own pixels out."""
