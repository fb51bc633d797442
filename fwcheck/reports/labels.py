"""The fixed words of the reports in both languages. Criterion titles and needs come from the catalogue."""

from __future__ import annotations

from fwcheck.reports.registry import Lang

_WORDS: dict[str, tuple[str, str]] = {
    "report": ("Firmware report", "ファームウェア報告書"),
    "image": ("Image", "イメージ"),
    "size": ("Size", "サイズ"),
    "format": ("Format", "形式"),
    "platform": ("Platform", "プラットフォーム"),
    "tool": ("Tool", "ツール"),
    "database": ("Vulnerability data of", "脆弱性データ"),
    "coverage": ("What was read", "読み取り範囲"),
    "explained": ("explained", "解釈済み"),
    "padding": ("padding", "パディング"),
    "unknown": ("unknown", "不明"),
    "encrypted": ("looks encrypted", "暗号化の疑い"),
    "files": ("files", "ファイル"),
    "entropy": ("Entropy, 0 to 8 bits per byte", "エントロピー (0〜8 ビット/バイト)"),
    "gaps": ("Not read", "未読部分"),
    "findings": ("Findings", "検出事項"),
    "speaks_for": ("Evidence for", "肯定的な証拠"),
    "information": ("Information", "参考情報"),
    "none": ("none", "なし"),
    "fix": ("To do", "対策"),
    "why": ("Why it matters", "理由"),
    "refuted_by": ("What would refute this", "反証となるもの"),
    "waived": ("waived", "免除済み"),
    "more_of_rule": ("and {count} more of {rule}", "{rule} は他に {count} 件"),
    "more": ("and {count} more", "他 {count} 件"),
    "criteria": ("Criteria", "要件"),
    "criterion": ("Criterion", "要件"),
    "verdict": ("Verdict", "判定"),
    "reason": ("Reason", "根拠"),
    "lost": ("Points lost", "失点"),
    "limited": ("Limited by", "制約"),
    "needs": ("Needed next", "次に必要なもの"),
    "document": ("document", "文書"),
    "device-test": ("device test", "実機試験"),
    "score": ("Score", "スコア"),
    "score_note": (
        "The score is this tool's own figure, no part of the scheme.",
        "スコアは本ツール独自の指標であり、制度の一部ではない。",
    ),
    "gate": ("Gate", "ゲート"),
    "gate_none": ("none asked for", "指定なし"),
    "gate_held": ("held", "条件を満たす"),
    "gate_failed": ("failed", "不成立"),
    "gate_undecided": ("undecided", "判断不能"),
    "device": ("Device as shipped", "出荷時の機器"),
    "accounts": ("Accounts", "アカウント"),
    "services": ("Services", "サービス"),
    "listeners": ("Listeners", "待ち受けポート"),
    "consoles": ("Consoles", "コンソール"),
    "updates": ("Update paths", "更新経路"),
    "boot": ("Boot chain", "起動チェーン"),
    "components": ("Components", "構成部品"),
    "end_of_life": ("support ended {date}", "サポート終了 {date}"),
    "exploited": ("{count} known exploited", "悪用確認 {count}"),
    "vulnerabilities": ("{count} known vulnerabilities", "既知の脆弱性 {count}"),
    "refuted": ("{level} is refuted by {count} criteria", "{level}：{count} 要件と矛盾"),
    "refuted_one": ("{level} is refuted by one criterion", "{level}：1 要件と矛盾"),
    "not_refuted": (
        "{level} is not refuted: {decidable} of {total} criteria decidable from the image",
        "{level}：矛盾は見つからず（{total} 要件中 {decidable} 要件がイメージから判断可能）",
    ),
    "caution": (
        "A firmware image can contradict a criterion; it never proves one.",
        "ファームウェアは要件との矛盾を示せても、充足の証明にはならない。",
    ),
    "official": ("official identifiers", "公式の要件番号"),
    "proxy": ("proxy", "代替"),
    "critical": ("critical", "緊急"),
    "high": ("high", "高"),
    "medium": ("medium", "中"),
    "low": ("low", "低"),
    "info": ("info", "情報"),
    "violation": ("violation", "矛盾"),
    "concern": ("concern", "懸念"),
    "support": ("support", "肯定的証拠"),
    "not-observed": ("not observed", "検出なし"),
    "not-decidable": ("not decidable", "判定不能"),
    "not-applicable": ("not applicable?", "対象外候補"),
    "certain": ("certain", "確実"),
    "firm": ("firm", "確度高"),
    "tentative": ("tentative", "暫定"),
    "enabled": ("starts by default", "既定で起動"),
    "all": ("all", "すべて"),
    "search": ("Search findings", "検出事項を検索"),
    "levels": ("Levels", "レベル"),
    "name": ("Name", "名前"),
    "version": ("Version", "版"),
    "password": ("Password", "パスワード"),
    "where": ("Where", "場所"),
    "known": ("Known problems", "既知の問題"),
    "program": ("Program", "プログラム"),
    "user": ("User", "実行利用者"),
    "source": ("From", "入力元"),
    "sink": ("To", "書き込み先"),
    "verified": ("Verified by", "検証"),
    "cracked": ("cracked", "解読済み"),
    "yes": ("yes", "はい"),
    "no": ("no", "いいえ"),
    "timing": ("Seconds", "所要秒数"),
    "port": ("Port", "ポート"),
    "map": ("Map of the image", "イメージの地図"),
    "evidence": ("Evidence", "証拠"),
    "formula": ("How the score is made", "スコアの算出方法"),
}


def label(key: str, lang: Lang = "en", **values: str | int) -> str:
    """The words for ``key``; a key without an entry is shown as it is (a state that the model added later)."""
    words = _WORDS.get(key)
    if words is None:
        return key
    return words[1 if lang == "ja" else 0].format(**values)


def labels(lang: Lang) -> dict[str, str]:
    """All labels of one language by key, placeholders unfilled."""
    return {key: words[1 if lang == "ja" else 0] for key, words in _WORDS.items()}
