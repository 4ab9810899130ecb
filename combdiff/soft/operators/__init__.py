"""The soft operators: functions of tensors of any dimension, with masks."""
