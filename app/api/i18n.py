"""What errors and replies say, keyed by code, in the languages that the contracts are written in.

English texts of errors stand at their classes in ``app/errors.py``, those of reasons in
``app/reason_words.py``; what is missing in a language falls back to that. Placeholders are the
names in an error's ``details``.
"""

from __future__ import annotations

from typing import Literal, get_args

from app.errors import BadFrame, FarEndError, WatchpostError
from app.failure_reason import WORDS, FailureReason

Language = Literal["ko", "en", "ru"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DEFAULT: Language = "ko"

ERRORS: dict[str, dict[str, str]] = {
    "ko": {
        "INTERNAL_ERROR": "서버 내부 오류가 발생했습니다.",
        "BAD_REQUEST": "잘못된 요청입니다.",
        "INVALID_REQUEST": "잘못된 요청입니다: {field}: {reason}",
        "INVALID_RTSP_URL": "RTSP URL 형식이 올바르지 않습니다 ({reason}). 예: rtsp://host:port/path",
        "ADDRESS_NOT_ALLOWED": "{host}의 주소 {address}는 스트림에 사용할 수 없습니다.",
        "BAD_FRAME": "프레임을 사용할 수 없습니다: {reason}.",
        "BAD_UPLOAD": "업로드한 파일을 사용할 수 없습니다: {reason}.",
        "UPLOAD_TOO_LARGE": "업로드가 너무 큽니다. 최대 {limit}까지 가능합니다.",
        "NOT_AN_IMAGE": "지원하는 이미지가 아닙니다 (JPEG, PNG, WebP, BMP).",
        "PLATE_NOT_FOUND": "번호판을 찾을 수 없습니다: {plate_id}",
        "SESSION_NOT_FOUND": "세션을 찾을 수 없습니다: {session_id}",
        "WATCH_NOT_FOUND": "감시 목록 항목을 찾을 수 없습니다: {watch_id}",
        "IMAGE_NOT_FOUND": "이 이미지는 더 이상 보관되지 않습니다.",
        "OUTPUT_IS_INPUT": "입력과 출력 URL이 같습니다: {output_url}",
        "UPGRADE_REQUIRED": "WebSocket 주소입니다. ws:// 또는 wss://로 연결하세요 (/docs 참고).",
        "UNAUTHORIZED": "인증이 필요합니다: {reason}",
        "NOT_FOUND": "찾을 수 없습니다: {path}",
        "METHOD_NOT_ALLOWED": "허용되지 않는 메서드입니다.",
        "BAD_RANGE": "파일 크기는 {bytes}바이트입니다. Range: bytes=0-99처럼 그 일부를 요청하세요.",
        "JOB_NOT_FOUND": "수집 작업 {job_id}이(가) 없습니다.",
        "FILE_NOT_FOUND": "작업 {job_id}에 파일 {file_id}이(가) 없거나 공간 확보를 위해 "
        "삭제되었습니다.",
        "SCHEDULE_NOT_FOUND": "예약 {schedule_id}이(가) 없습니다.",
        "TOO_MANY_JOBS": "이미 수집 작업 {count}개가 실행 중입니다. 하나가 끝나기를 기다리거나 "
        "취소하거나 한도를 늘리세요.",
        "STREAM_NOT_FOUND": "스트림을 찾을 수 없습니다: {stream_id}",
        "EVENT_NOT_FOUND": "이벤트를 찾을 수 없습니다: {event_id}",
        "NO_SNAPSHOT": "이벤트 {event_id}에는 사진이 없습니다.",
        "SNAPSHOT_REMOVED": "이벤트 {event_id}의 사진이 삭제되었습니다.",
        "CONFLICT": "현재 상태와 충돌합니다.",
        "STREAM_ALREADY_RUNNING": "스트림 {stream_id}이(가) 다른 설정으로 실행 중입니다. "
        "먼저 중지한 다음 새 설정으로 시작하세요.",
        "CAMERA_EXISTS": "카메라 {camera_id}이(가) 이미 있습니다. PATCH로 변경하세요.",
        "NOT_A_CAMERA": "{camera_id}은(는) 카메라가 아니라 다른 방식으로 시작된 스트림입니다.",
        "OUTPUT_IN_USE": "스트림 {used_by}이(가) 이미 {output_url}(으)로 출력하고 있습니다.",
        "NOT_PUSHABLE": "스트림 {stream_id}에는 프레임을 보낼 수 없습니다. "
        "POST /stream/request로 스트림을 요청하세요.",
        "FAR_END_FAILED": "스트림 연결에 실패했습니다: {reason}",
        "INPUT_FAILED": "입력 스트림 연결에 실패했습니다: {reason} ({url})",
        "OUTPUT_FAILED": "출력 스트림 연결에 실패했습니다: {reason} ({url})",
        "UNAVAILABLE": "지금은 사용할 수 없습니다.",
        "START_TIMEOUT": "스트림 {stream_id}이(가) {timeout_s}초 내에 "
        "RUNNING 상태가 되지 않았습니다.",
        "START_CANCELLED": "스트림 {stream_id}이(가) 실행되기 전에 중지되었습니다.",
        "TOO_MANY_STREAMS": "이미 {count}개의 푸시 스트림이 열려 있습니다. "
        "하나를 종료하거나 한도를 높이세요.",
        "NO_ANALYTICS": "이 서버에는 분석용 네트워크가 없습니다.",
        "NO_PICTURE": "스트림 {stream_id}의 화면이 없습니다 (상태: {status}).",
        "STORE_FAILED": "데이터베이스 오류: {reason}",
        "NOT_READY": "서버가 아직 준비되지 않았습니다: {reason}",
        "SHUTTING_DOWN": "서버가 종료 중입니다.",
        "CAMERA_FAILED": "카메라 {camera_id}: {reason}",
        "DETECTOR_FAILED": "검출기 오류: {network}: {reason}",
        "SETUP_FAILED": "서버 설정 오류: {reason}",
        "DATA_FOLDER_LOCKED": "데이터 폴더 {folder}를 다른 프로세스({pid})가 사용 중입니다.",
        "SECRET_UNREADABLE": "저장된 인증 정보를 현재 키로 읽을 수 없습니다 ({key_file}). "
        "이전 키 파일을 복원하거나 전체 URL로 스트림을 다시 시작하세요.",
    },
    "en": {"METHOD_NOT_ALLOWED": "This method is not allowed here."},
    "ru": {
        "INTERNAL_ERROR": "Внутренняя ошибка сервера.",
        "BAD_REQUEST": "Некорректный запрос.",
        "INVALID_REQUEST": "Некорректный запрос: {field}: {reason}",
        "INVALID_RTSP_URL": "Некорректный RTSP URL ({reason}). Пример: rtsp://host:port/path",
        "ADDRESS_NOT_ALLOWED": "{host} ведёт на адрес {address}, он запрещён для потоков.",
        "BAD_FRAME": "Кадр нельзя использовать: {reason}.",
        "BAD_UPLOAD": "Загруженный файл нельзя использовать: {reason}.",
        "UPLOAD_TOO_LARGE": "Файл слишком велик: принимается не больше {limit}.",
        "NOT_AN_IMAGE": "Это не изображение поддерживаемого вида: JPEG, PNG, WebP или BMP.",
        "PLATE_NOT_FOUND": "Номер не найден: {plate_id}",
        "SESSION_NOT_FOUND": "Сессия не найдена: {session_id}",
        "WATCH_NOT_FOUND": "Запись списка наблюдения не найдена: {watch_id}",
        "IMAGE_NOT_FOUND": "Это изображение больше не хранится.",
        "OUTPUT_IS_INPUT": "Поток публиковался бы туда, откуда читает: {output_url}",
        "UPGRADE_REQUIRED": "Это адрес WebSocket: подключайтесь через ws:// или wss://, "
        "примеры в /docs.",
        "UNAUTHORIZED": "Требуется доступ: {reason}",
        "NOT_FOUND": "Не найдено: {path}",
        "METHOD_NOT_ALLOWED": "Этот метод здесь не разрешён.",
        "BAD_RANGE": "В файле {bytes} байт. Запросите его часть, например Range: bytes=0-99.",
        "JOB_NOT_FOUND": "Задания сбора {job_id} нет.",
        "FILE_NOT_FOUND": "В задании {job_id} нет файла {file_id}, или он удалён, чтобы "
        "освободить место.",
        "SCHEDULE_NOT_FOUND": "Расписания {schedule_id} нет.",
        "TOO_MANY_JOBS": "Уже идёт заданий сбора: {count}. Дождитесь одного, отмените одно или "
        "увеличьте предел.",
        "STREAM_NOT_FOUND": "Поток не найден: {stream_id}",
        "EVENT_NOT_FOUND": "Событие не найдено: {event_id}",
        "NO_SNAPSHOT": "У события {event_id} нет снимка.",
        "SNAPSHOT_REMOVED": "Снимок события {event_id} удалён.",
        "CONFLICT": "Конфликт с текущим состоянием.",
        "STREAM_ALREADY_RUNNING": "Поток {stream_id} уже работает с другими настройками. "
        "Остановите его и запустите с новыми.",
        "CAMERA_EXISTS": "Камера {camera_id} уже есть. Измените её через PATCH.",
        "NOT_A_CAMERA": "{camera_id} — не камера: этот поток запущен другим способом.",
        "OUTPUT_IN_USE": "Поток {used_by} уже публикуется в {output_url}.",
        "NOT_PUSHABLE": "Поток {stream_id} не принимает кадры. "
        "Запросите поток через POST /stream/request.",
        "FAR_END_FAILED": "Не удалось подключить поток: {reason}",
        "INPUT_FAILED": "Вход недоступен: {reason} ({url})",
        "OUTPUT_FAILED": "Выход недоступен: {reason} ({url})",
        "UNAVAILABLE": "Сейчас недоступно.",
        "START_TIMEOUT": "Поток {stream_id} не запустился за {timeout_s} с.",
        "START_CANCELLED": "Поток {stream_id} остановлен до запуска.",
        "TOO_MANY_STREAMS": "Открыто уже {count} потоков. Закройте один или увеличьте лимит.",
        "NO_ANALYTICS": "Аналитика недоступна: на этом сервере нет сети для неё.",
        "NO_PICTURE": "У потока {stream_id} сейчас нет изображения, состояние: {status}.",
        "STORE_FAILED": "Ошибка базы данных: {reason}",
        "NOT_READY": "Сервер сейчас не может выполнять всю работу: {reason}",
        "SHUTTING_DOWN": "Сервер завершает работу.",
        "CAMERA_FAILED": "Камера {camera_id}: {reason}",
        "DETECTOR_FAILED": "Ошибка детектора: {network}: {reason}",
        "SETUP_FAILED": "Ошибка настройки сервера: {reason}",
        "DATA_FOLDER_LOCKED": "Папку данных {folder} использует другой процесс ({pid}).",
        "SECRET_UNREADABLE": "Сохранённые учётные данные не читаются этим ключом ({key_file}). "
        "Верните прежний файл ключа или запустите поток снова с полным URL.",
    },
}

_TRANSLATED: dict[str, dict[Language, str]] = {
    FailureReason.UNAUTHORIZED: {
        "ko": "사용자 이름 또는 비밀번호가 올바르지 않습니다",
        "ru": "неверные имя или пароль",
    },
    FailureReason.FORBIDDEN: {"ko": "접근 금지", "ru": "доступ запрещён"},
    FailureReason.NOT_FOUND: {
        "ko": "서버에 해당 경로가 없습니다",
        "ru": "нет такого пути на сервере",
    },
    FailureReason.REFUSED: {"ko": "연결 거부", "ru": "соединение отклонено"},
    FailureReason.UNREACHABLE: {"ko": "호스트에 연결할 수 없습니다", "ru": "узел недоступен"},
    FailureReason.UNKNOWN_HOST: {"ko": "알 수 없는 호스트 이름", "ru": "неизвестное имя узла"},
    FailureReason.TIMEOUT: {"ko": "응답 시간 초과", "ru": "нет ответа"},
    FailureReason.CLOSED: {"ko": "연결이 끊어졌습니다", "ru": "соединение закрыто"},
    FailureReason.ENDED: {"ko": "스트림이 끝났습니다", "ru": "поток закончился"},
    FailureReason.STALLED: {"ko": "데이터가 오지 않습니다", "ru": "нет данных"},
    FailureReason.NO_VIDEO: {"ko": "비디오가 없습니다", "ru": "нет видео"},
    FailureReason.INVALID_DATA: {"ko": "디코딩할 수 없는 데이터", "ru": "данные не декодируются"},
    FailureReason.NO_DEVICE: {
        "ko": "이 컴퓨터에 해당 카메라가 없습니다",
        "ru": "на этой машине нет такой камеры",
    },
    FailureReason.TOO_LARGE: {"ko": "화면이 너무 큽니다", "ru": "слишком большой кадр"},
    FailureReason.REJECTED: {"ko": "서버가 요청을 거부했습니다", "ru": "сервер отклонил запрос"},
    FailureReason.SIZE_CHANGED: {
        "ko": "화면 크기가 변경되어 다시 연결합니다",
        "ru": "размер кадра изменился, подключаемся заново",
    },
    FailureReason.DISK_FULL: {"ko": "디스크 공간이 부족합니다", "ru": "диск заполнен"},
    FailureReason.UNFIT_CODEC: {
        "ko": "이 비디오 코덱은 MP4에 담을 수 없습니다. blur: false 없이 요청하세요",
        "ru": "этот видеокодек не помещается в MP4; запросите без blur: false",
    },
    FailureReason.STOPPED: {"ko": "스트림이 중지되었습니다", "ru": "поток остановлен"},
    FailureReason.NO_ENCODER: {"ko": "사용할 수 없는 인코더", "ru": "кодировщик здесь не работает"},
    FailureReason.EMPTY: {"ko": "비어 있습니다", "ru": "он пустой"},
    FailureReason.NO_PICTURE: {
        "ko": "JPEG, PNG, WebP 이미지가 아닙니다",
        "ru": "это не JPEG, PNG или WebP",
    },
    FailureReason.BAD_PICTURE: {
        "ko": "이미지가 손상되었거나 {max_pixels}픽셀보다 큽니다",
        "ru": "изображение повреждено или больше {max_pixels} пикселей",
    },
    FailureReason.NO_DATA_URL: {
        "ko": "텍스트 메시지는 data:image/jpeg;base64,… (또는 image/png, image/webp)여야 합니다",
        "ru": "текстовое сообщение должно иметь вид data:image/jpeg;base64,… "
        "(или image/png, image/webp)",
    },
    FailureReason.NO_BASE64: {
        "ko": "쉼표 뒤의 내용이 base64가 아닙니다",
        "ru": "после запятой не base64",
    },
    FailureReason.MESSAGE_TOO_LARGE: {
        "ko": "메시지가 {max_bytes}바이트보다 큽니다. 더 작은 이미지를 보내세요",
        "ru": "сообщение больше {max_bytes} байт, отправьте изображение поменьше",
    },
}

REASONS: dict[str, dict[Language, str]] = {
    code: {"en": WORDS[code], **others} for code, others in _TRANSLATED.items()
}

REPLIES: dict[str, dict[Language, str]] = {
    "DISCONNECTED": {
        "ko": "연결이 완전히 종료되었습니다.",
        "en": "The connection is closed completely.",
        "ru": "Соединение полностью закрыто.",
    },
    "STREAM_ENDED": {
        "ko": "스트림이 종료되었습니다.",
        "en": "The stream has ended.",
        "ru": "Поток завершён.",
    },
    "STREAM_STOPPED": {
        "ko": "스트림이 중지되어 있습니다.",
        "en": "The stream is stopped.",
        "ru": "Поток остановлен.",
    },
    "STREAM_FAILED": {
        "ko": "스트림이 실패했습니다.",
        "en": "The stream has failed.",
        "ru": "Поток завершился с ошибкой.",
    },
    "PLATE_DELETED": {
        "ko": "번호판이 삭제되었습니다.",
        "en": "The plate was deleted.",
        "ru": "Номер успешно удален",
    },
    "PICTURES_ERASED": {
        "ko": "이미지가 완전히 삭제되었습니다.",
        "en": "The pictures were erased for good.",
        "ru": "Изображения безвозвратно удалены",
    },
    "STREAM_FOUND": {
        "ko": "기존 스트림을 찾았습니다.",
        "en": "An existing stream was found.",
        "ru": "Найден существующий поток.",
    },
    "STREAM_CREATED": {
        "ko": "새로운 스트림이 생성되었습니다.",
        "en": "A new stream was created.",
        "ru": "Создан новый поток.",
    },
}


def language_of(accept_language: str | None) -> Language:
    """The caller's favourite of our languages (RFC 9110, 12.5.4), else the contract's Korean."""
    choices: list[tuple[float, Language]] = []
    for part in (accept_language or "").split(","):
        tag, _, weight = part.replace(" ", "").lower().partition(";q=")
        primary = tag.partition("-")[0]
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        for language in LANGUAGES:
            if primary == language and quality > 0:
                choices.append((quality, language))
    return max(choices, key=lambda choice: choice[0])[1] if choices else DEFAULT


def describe(error: WatchpostError, language: Language) -> str:
    """The error in words, with the reason of a far end spelled out."""
    template = ERRORS[language].get(error.code, error.template)
    details = dict(error.details)
    if isinstance(error, FarEndError | BadFrame) and (
        words := REASONS.get(str(details.get("reason")))
    ):
        details["reason"] = type(error).fill(words[language], details)
    return type(error).fill(template, details)
